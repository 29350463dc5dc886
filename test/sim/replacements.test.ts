import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Change, Plan } from "../../src/sim/plan.ts";
import { Random } from "../../src/sim/random.ts";
import { runPlan } from "../../src/sim/run.ts";
import { planOf } from "../../src/sim/swarm.ts";

/** Virtual time is cheap, and a busy machine slow. */
setDefaultTimeout(60_000);

const NODES = 6;
const JOINER = NODES;

/** Words about a few validators, in any order: some contradict each other, some are repeated until they can be true. */
function changesOf(seed: number): readonly Change[] {
  const random = Random.of(seed, 0x77);
  const by = Array.from({ length: NODES }, (_, place) => place);
  const words: readonly Pick<Change, "kind" | "node" | "by">[] = [
    { kind: "admit", node: JOINER, by },
    { kind: "dismiss", node: 5, by },
    { kind: "leave", node: 4, by: [4] },
    { kind: "admit", node: 5, by },
    { kind: "dismiss", node: JOINER, by },
  ];
  const chosen = random.shuffled(words).slice(0, random.between(1, 4));
  return chosen.map((word) => ({ ...word, atMs: random.between(300, 6_000) }));
}

function planFor(seed: number, byzantine?: number): Plan {
  const plan = planOf({ seed, nodes: NODES, ...(byzantine === undefined ? {} : { byzantine }) });
  return { ...plan, joiners: 1, changes: changesOf(seed), reportIntervalMs: 10_000_000 };
}

describe("replacements under every fault", () => {
  for (const seed of [2, 4, 7, 9, 10]) {
    test(`of correct validators (seed ${seed})`, async () => {
      const { verdict, detail } = await runPlan(planFor(seed, 0));
      expect({ verdict, detail }).toEqual({ verdict: "pass", detail: "" });
    });

    test(`with whom the seed makes lie (seed ${seed})`, async () => {
      const { verdict, detail } = await runPlan(planFor(seed));
      expect({ verdict, detail }).toEqual({ verdict: "pass", detail: "" });
    });
  }
});
