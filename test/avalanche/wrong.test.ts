import { describe, expect, test } from "bun:test";
import { runDagPlan } from "../../src/sim/avalanche/dag-run.ts";
import { dagPlanFor, WRONG_DAGS, type WrongDag } from "../../src/sim/avalanche/wrong/catalogue.ts";

/** How long one planted bug may take on a busy machine. */
const SEARCH_MS_MAX = 240_000;

/** The first seed that shows a bug, and what it is found by. */
function search(wrong: WrongDag): ReturnType<typeof runDagPlan> | null {
  for (let seed = 1; seed <= wrong.seeds; seed++) {
    const result = runDagPlan(dagPlanFor(wrong, seed), wrong.plant);
    if (result.verdict === "violation") return result;
  }
  return null;
}

/** If one of these fails, the checker has gone blind: nothing that it passes means anything until that is mended. */
describe("the checker of the Avalanche engines finds planted bugs", () => {
  test("each has a name of its own, a rule that it breaks, and a number of seeds", () => {
    expect(new Set(WRONG_DAGS.map(({ bug }) => bug)).size).toBe(WRONG_DAGS.length);
    for (const { breaks, expects, seeds } of WRONG_DAGS) {
      expect(breaks).not.toBe("");
      expect(expects).not.toBeEmpty();
      expect(seeds).toBeLessThanOrEqual(60);
    }
  });

  for (const wrong of WRONG_DAGS) {
    test(
      `${wrong.bug}, within ${wrong.seeds} seeds; production passes the same runs`,
      () => {
        const found = search(wrong);
        if (found === null) throw new Error(`not found in seeds 1 to ${wrong.seeds}`);
        expect<readonly (string | null)[]>(wrong.expects).toContain(found.invariant);
        for (let seed = 1; seed <= found.seed; seed++) {
          const { verdict, detail } = runDagPlan(dagPlanFor(wrong, seed));
          expect({ seed, verdict, detail }).toEqual({ seed, verdict: "pass", detail: "" });
        }
      },
      SEARCH_MS_MAX,
    );
  }
});
