import { describe, expect, test } from "bun:test";
import { INVARIANTS } from "../../src/sim/violation.ts";
import { runPlan, type RunResult } from "../../src/sim/run.ts";
import { WRONG_NODES } from "../../src/sim/wrong/catalogue.ts";
import { planFor, type WrongNode } from "../../src/sim/wrong/wrong-node.ts";

/** How long one planted bug may take on a busy machine. */
const SEARCH_MS_MAX = 120_000;

/** Several bugs are looked for in the same runs: what production's node does there is asked once. */
const controls = new Map<string, Promise<RunResult>>();

async function search(wrong: WrongNode): Promise<RunResult | null> {
  for (let seed = 1; seed <= wrong.seeds; seed++) {
    const result = await runPlan(planFor(wrong, seed), wrong.plant);
    if (result.verdict === "violation") return result;
  }
  return null;
}

function control(wrong: WrongNode, seed: number): Promise<RunResult> {
  const plan = planFor(wrong, seed);
  const key = JSON.stringify(plan);
  const known = controls.get(key) ?? runPlan(plan);
  controls.set(key, known);
  return known;
}

/** If one of these fails, the simulator has gone blind: nothing that it passes means anything until that is mended. */
describe("the simulator finds planted bugs", () => {
  test("each has a name of its own, a rule that it breaks, and a number of seeds", () => {
    expect(new Set(WRONG_NODES.map(({ bug }) => bug)).size).toBe(WRONG_NODES.length);
    for (const { breaks, seeds, expects } of WRONG_NODES) {
      expect(breaks).not.toBe("");
      expect(seeds).toBeLessThanOrEqual(200);
      expect(expects).not.toBeEmpty();
    }
  });

  test("every invariant is the one by which some planted bug is found", () => {
    const found = new Set(WRONG_NODES.flatMap(({ expects }) => expects));
    expect(INVARIANTS.filter((invariant) => !found.has(invariant))).toEqual([]);
  });

  for (const wrong of WRONG_NODES) {
    test(
      `${wrong.bug}, within ${wrong.seeds} seeds; production's node passes the same runs`,
      async () => {
        const found = await search(wrong);
        if (found === null) throw new Error(`not found in seeds 1 to ${wrong.seeds}`);
        const { seed, invariant, detail } = found;
        if (process.env["SHOW_FOUND"] !== undefined) console.log(`${wrong.bug}: seed ${seed}: ${detail}`);
        expect<readonly (string | null)[]>(wrong.expects).toContain(invariant);
        expect(detail).toMatch(wrong.says ?? /./);
        for (let checked = 1; checked <= seed; checked++) {
          const { verdict, detail: why } = await control(wrong, checked);
          expect({ seed: checked, verdict, why }).toEqual({ seed: checked, verdict: "pass", why: "" });
        }
      },
      SEARCH_MS_MAX,
    );
  }
});
