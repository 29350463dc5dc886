import { describe, expect, test } from "bun:test";
import { DAG_ADVERSARIES } from "../../src/sim/avalanche/dag-behaviour.ts";
import { dagPlanOf } from "../../src/sim/avalanche/dag-plan.ts";
import { runDagPlan } from "../../src/sim/avalanche/dag-run.ts";

/** How long a handful of seeds may take on a busy machine. */
const RUN_MS_MAX = 120_000;

/** Seeds of each adversary; the campaign command runs thousands (docs/avalanche-simulation.md). */
const SEEDS = 4;

describe("Avalanche keeps its promises against", () => {
  for (const adversary of DAG_ADVERSARIES) {
    test(
      `${adversary}`,
      () => {
        for (let seed = 1; seed <= SEEDS; seed++) {
          const plan = dagPlanOf({ seed, nodes: seed % 2 === 0 ? 4 : 7, adversary });
          const { verdict, invariant, detail } = runDagPlan(plan);
          expect({ seed, verdict, invariant, detail }).toEqual({ seed, verdict: "pass", invariant: null, detail: "" });
        }
      },
      RUN_MS_MAX,
    );
  }

  test("nobody, the same way each time", () => {
    const plan = dagPlanOf({ seed: 7, nodes: 4, adversary: "mixed" });
    expect(runDagPlan(plan)).toEqual(runDagPlan(plan));
  });
});
