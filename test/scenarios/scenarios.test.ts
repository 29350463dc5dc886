import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parsePlan, type PlanFile, printPlan } from "../../src/sim/plan-file.ts";
import { Recorder } from "../../src/sim/recorder.ts";
import { runPlan } from "../../src/sim/run.ts";
import { traceText } from "../../src/sim/trace-text.ts";

const FOLDER = import.meta.dirname;
const FILES = readdirSync(FOLDER).filter((file) => file.endsWith(".json"));

function read(file: string): PlanFile {
  return parsePlan(readFileSync(join(FOLDER, file), "utf8"), file);
}

/** A fingerprint covers every delivery and every step: it is the same on any machine, and another after a change of the protocol. */
const GOLDEN: readonly (readonly [file: string, fingerprint: string])[] = [
  ["leader-that-hears-nothing.json", "5493120b91607b99"],
  ["new-views-that-get-lost.json", "165c5633926226a8"],
];

describe("the kept plans", () => {
  test("are there, and each says what it is for", () => {
    expect(FILES.length).toBeGreaterThanOrEqual(6);
    for (const file of FILES) expect(read(file).about).not.toBe("");
  });

  test.each(FILES)("%s breaks no promise, and everything accepted is final", async (file) => {
    const { plan } = read(file);
    const result = await runPlan(plan);
    expect([result.verdict, result.detail]).toEqual(["pass", ""]);
    expect(result.accepted).toBeGreaterThan(0);
    expect(result.ordered).toBeGreaterThanOrEqual(result.accepted);
  });

  // A plan after which nobody noticed anything has lost its point.
  test.each(FILES)("%s makes the validators change the view or find the liar out", async (file) => {
    const { view, detected } = await runPlan(read(file).plan);
    expect(view + detected).toBeGreaterThan(0);
  });

  test.each(FILES)("%s gives the same trace to the byte each time, also as it is printed", async (file) => {
    const { about, plan } = read(file);
    const traceOf = async (given: typeof plan): Promise<readonly [string, string]> => {
      const recorder = new Recorder();
      const { fingerprint } = await runPlan(given, { recorder });
      return [fingerprint, traceText(recorder.records)];
    };
    const once = await traceOf(plan);
    expect(once[1].length).toBeGreaterThan(1_000);
    expect(await traceOf(plan)).toEqual(once);
    expect(await traceOf(parsePlan(printPlan({ about, plan }), "printed").plan)).toEqual(once);
    expect(await traceOf({ ...plan, seed: plan.seed + 1 })).not.toEqual(once);
  });

  test.each(GOLDEN)("%s has the fingerprint that it has on every machine", async (file, fingerprint) => {
    expect((await runPlan(read(file).plan)).fingerprint).toBe(fingerprint);
  });
});
