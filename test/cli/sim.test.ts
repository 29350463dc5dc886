import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parsePlan } from "../../src/sim/plan-file.ts";
import { type Outcome, run } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "cretoai-sim-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** No run can be done a millisecond after its work: a violation of liveness that needs no bug. */
const HOPELESS = {
  work: [
    { node: 0, atMs: 400, payloads: 3, bytes: 90 },
    { node: 1, atMs: 590, payloads: 3, bytes: 90 },
  ],
  faults: [{ kind: "crash", node: 3, atMs: 100, operations: 0, downMs: 100 }],
  chaosMs: 600,
  settleMs: 1,
};
writeFileSync(join(folder, "hopeless.json"), JSON.stringify(HOPELESS));

function sim(...args: readonly string[]): Promise<Outcome> {
  return run(["sim", ...args], { cwd: folder });
}

function objectsOf(stdout: string): readonly Record<string, unknown>[] {
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("cretoai-node sim", () => {
  test("runs seeds one after the other and sums them up", async () => {
    const { code, stdout, stderr } = await sim("--seed", "40", "--runs", "6", "--until", "2");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toStartWith("seeds 40 to 45: 4 nodes, pbft, modelled signatures");
    expect(stdout).toMatch(/^passed +6$/m);
    expect(stdout).toMatch(/^speed +[\d,]+ events\/s$/m);
    expect(readdirSync(folder)).not.toContain("sim-failures");
  });

  test("runs the application that it is told to, with clients that are answered", async () => {
    const { code, stdout } = await sim("--app", "ledger", "--seed", "3", "--runs", "2", "--until", "2");
    expect(code).toBe(0);
    expect(stdout).toStartWith("seeds 3 to 4: 4 nodes, pbft, modelled signatures, ledger");
    expect(stdout).toMatch(/^commands answered +[1-9]\d*$/m);
  });

  test("prints the fresh seed that it takes", async () => {
    const { code, stdout } = await sim("--runs", "1", "--until", "1");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^seed \d+: /);
  });

  test("prints one JSON object a run and a summary, the same for any number of processes", async () => {
    const [one, three] = await Promise.all(
      ["1", "3"].map((jobs) => sim("--seed", "7", "--runs", "5", "--until", "2", "--jobs", jobs, "--json")),
    );
    const runsOf = (outcome: Outcome | undefined): readonly unknown[] =>
      objectsOf(outcome?.stdout ?? "").map(({ wallMs: _, runMs: __, eventsPerSecond: ___, ...rest }) => rest);
    expect(runsOf(one)).toEqual(runsOf(three));
    const objects = objectsOf(one?.stdout ?? "");
    expect(objects.map(({ type }) => type)).toEqual(["run", "run", "run", "run", "run", "summary"]);
    expect(objects[0]).toMatchObject({ seed: 7, verdict: "pass", invariant: null });
    expect(objects[5]).toMatchObject({ seedFrom: 7, runs: 5, passed: 5, violations: {} });
  });

  test("answers 1 to a violation, and keeps a smaller plan that fails in the same way", async () => {
    const { code, stdout, stderr } = await sim("--plan", "hopeless.json", "--keep", "kept here");
    expect(code).toBe(1);
    expect(stderr).toContain("1 of 1 runs broke a promise of the protocol");
    expect(stdout).toContain("VIOLATION with seed 1: liveness: not done 1 ms after the last fault");
    expect(stdout).toContain("again:     cretoai-node sim --plan hopeless.json --seed 1 --runs 1");
    expect(stdout).toContain("replay:    cretoai-node sim --plan 'kept here/liveness-1.json'");
    const kept = parsePlan(readFileSync(join(folder, "kept here/liveness-1.json"), "utf8"), "kept");
    expect(kept.about).toStartWith("Found with seed 1: liveness");
    expect(kept.plan).toMatchObject({ faults: [], work: [{ payloads: 1, bytes: 8 }] });
    const replayed = await sim("--plan", "kept here/liveness-1.json", "--minimise", "0", "--json");
    expect(replayed.code).toBe(1);
    const [first, violation] = objectsOf(replayed.stdout);
    expect(first).toMatchObject({ type: "run", verdict: "violation", invariant: "liveness" });
    expect(violation).toMatchObject({ type: "violation", seed: 1, invariant: "liveness", runs: 0 });
  });

  test("draws and writes down a window of one run, the same each time", async () => {
    const args = ["--seed", "7", "--until", "3", "--trace", "a.txt", "--from", "2000", "--to", "2600"];
    const first = await sim(...args, "--picture", "a.svg");
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect((await sim(...args.with(5, "b.txt"), "--picture", "b.html")).code).toBe(0);
    const read = (file: string): string => readFileSync(join(folder, file), "utf8");
    expect(read("a.txt")).toMatch(/note \d start/);
    expect(read("b.txt")).toBe(read("a.txt"));
    expect(read("a.svg")).toStartWith("<svg");
    expect(read("b.html")).toContain(read("a.svg"));
  });

  test("runs with real signatures, too, and repeats itself although they differ each time", async () => {
    const args = ["--seed", "3", "--runs", "1", "--until", "1", "--crypto", "real", "--json"];
    const outcomes = await Promise.all([sim(...args), sim(...args)]);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0]);
    const [first, second] = outcomes.map(({ stdout }) => objectsOf(stdout)[0]?.["fingerprint"]);
    expect(first).toMatch(/^[0-9a-f]{16}$/);
    expect(second).toBe(first);
  });

  test("predicts for the sizes that are asked for", async () => {
    const { code, stdout } = await sim("predict", "--nodes", "4,31");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ +4 +\d+ +[\d.]+ +[\d.]+ +[a-z-]+$/m);
    expect(stdout).toMatch(/^ +31 /m);
  });

  test("predicts with the code of the engine that is named", async () => {
    const { code, stdout } = await sim("predict", "--engine", "hotstuff", "--nodes", "4");
    expect(code).toBe(0);
    expect(stdout).toContain("hotstuff, 3 phases, votes to leader; 32 requests");
    expect(stdout).toMatch(/^ +4 +\d+ +\d+ +\d+ /m);
    const wrong = await sim("predict", "--engine", "avalanche");
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("sim scale")]);
  });

  const WRONG: readonly (readonly [words: string, message: string])[] = [
    ["--nodes four", '--nodes is "four", but must be a whole number 1 to 100'],
    ["--engine raft", '--engine is "raft", but must be one of pbft'],
    ["--app leger", '--app is "leger", but must be one of log, key-value, ledger; did you mean "ledger"?'],
    ["--engine avalanche --app ledger", "only log runs on it"],
    ["--plan hopeless.json --app log", "exclude each other"],
    ["--attacks equivocat", 'did you mean "equivocate"?'],
    ["--byzantine 4", '--byzantine is "4", but must be a whole number 0 to 3'],
    ["--seed 4294967295 --runs 2", "go beyond the last seed"],
    ["--runs 0", "--runs"],
    ["--until 0", "--until"],
    ["--crypto fake", "--crypto"],
    ["--picture x.svg --runs 2", "show one run"],
    ["--picture x.png", "must end in .svg or .html"],
    ["--trace /no/such/folder/x.txt", "there is no folder /no/such/folder"],
    ["--from 5", "go with --picture or --trace"],
    ["--picture x.svg --from 5 --to 5", "must be above --from"],
    ["--plan none.json", "cannot be read"],
    ["--plan hopeless.json --nodes 7", "exclude each other"],
    ["predict --nodes 0", "--nodes"],
    ["--bogus", "unknown option"],
  ];
  test.each(WRONG)("answers 2 to: %s", async (words, message) => {
    const { code, stdout, stderr } = await sim(...words.split(" "));
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
    expect(existsSync(join(folder, "x.svg"))).toBe(false);
  });

  test("tells everything that is wrong in a plan", async () => {
    writeFileSync(join(folder, "wrong.json"), '{"nodes": 0, "fautls": []}');
    const { code, stderr } = await sim("--plan", "wrong.json");
    expect(code).toBe(2);
    expect(stderr).toContain("nodes is 0, but must be a whole number 1 to 100");
    expect(stderr).toContain('has no key "fautls"; did you mean "faults"?');
  });
});
