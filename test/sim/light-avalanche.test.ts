import { drainMicrotasks } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { AvalancheEngine } from "../../src/consensus/avalanche/engine.ts";
import type { Unit } from "../../src/dag/unit.ts";
import type { Hash } from "../../src/lib/hash.ts";
import { decodeProof } from "../../src/light/finality-proof.ts";
import type { ConsensusNode } from "../../src/node/consensus-node.ts";
import { NodeError } from "../../src/node/service.ts";
import { correctKind, liarKind } from "../../src/sim/kinds.ts";
import { heal, scheduleChanges, scheduleFault, scheduleWork } from "../../src/sim/script.ts";
import { planOf } from "../../src/sim/swarm.ts";
import { watched } from "../../src/sim/watched-engine.ts";
import { World } from "../../src/sim/world.ts";

const TEST_MS = 240_000;

/** Votes before sampling has come to anything, so that some conflicts go to the log. */
const HASTY = { beta: 2, queryTimeoutMs: 60, patienceMs: 50, resolveAfterMs: 120 };

/** Virtual milliseconds after the last fault until everything is decided, and until everybody has its proofs. */
const SETTLED_MS = 12_000;
const PROVED_MS = 8_000;

const EVENTS_PER_BREATH = 5_000;

interface Watched {
  readonly world: World;
  /** What the log decided for, as any correct node learned it. */
  readonly byLog: Set<Hash>;
}

/** A world under faults of every kind, and beside it what its logs decided. */
function worldOf(seed: number): Watched {
  const byLog = new Set<Hash>();
  const vertices = new Map<Hash, readonly Hash[]>();
  const won = ({ bundle, vertex }: Unit): Hash | undefined =>
    vertex === null ? undefined : vertices.get(bundle)?.[vertex];
  const world = new World({
    plan: { ...planOf({ seed, nodes: 4, engine: "avalanche" }), sampling: HASTY },
    kindOf: (inside, place, liar) => {
      if (liar !== null) return liarKind(inside, liar);
      return correctKind(inside, place, {
        makeLeaderless: (options) =>
          watched(new AvalancheEngine(options), {
            onStep: (event) => {
              if (event.kind === "dag-bundles") {
                for (const { held } of event.bundles) vertices.set(held.ref.digest, held.vertexIds);
              }
              if (event.kind !== "resolutions") return;
              for (const { winner } of event.decided) byLog.add(won(winner) ?? winner.bundle);
            },
            onEffect: () => undefined,
          }),
      });
    },
    recorder: null,
  });
  scheduleWork(world);
  scheduleChanges(world);
  for (const fault of world.plan.faults) scheduleFault(world, fault);
  for (const node of world.nodes) node.start();
  world.schedule.at(world.plan.chaosMs, () => heal(world));
  return { world, byLog };
}

async function until(world: World, atMs: number): Promise<void> {
  const { schedule } = world;
  schedule.at(atMs, () => undefined);
  for (let next = schedule.nextAtMs(); next !== null && next <= atMs; next = schedule.nextAtMs()) {
    schedule.runNext();
    drainMicrotasks();
    if (world.violation !== null) throw world.violation;
    if (schedule.ran % EVENTS_PER_BREATH === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a node shows of all that is final at it; an error's code where it shows nothing. */
async function proofsOf(node: ConsensusNode): Promise<ReadonlyMap<Hash, number | string>> {
  const shown = new Map<Hash, number | string>();
  const items = await node.finalized({ from: 1, limit: 5_000 });
  const asked = items.map(async ({ hash }) => {
    try {
      const bytes = await node.proofs.proof(hash);
      const proof = bytes === null ? null : decodeProof(bytes);
      if (proof?.kind !== "accepted") throw new Error("no word of acceptance");
      shown.set(hash, new Set(proof.proofs.map(({ seal }) => seal.signer)).size);
    } catch (error) {
      shown.set(hash, error instanceof NodeError ? error.code : String(error));
    }
  });
  await Promise.all(asked);
  return shown;
}

describe("what validators say of vertices of a leaderless network", () => {
  test(
    "proves all that is final, also what the log decided, at every node and after every fault",
    async () => {
      const { world, byLog } = worldOf(2);
      const endMs = world.plan.chaosMs + SETTLED_MS;
      await until(world, endMs);
      const nodes = world.correct().flatMap(({ node }) => node ?? []);
      const asking = Promise.all(nodes.map(proofsOf));
      await until(world, endMs + PROVED_MS);
      const shown = await asking;
      expect(shown.length).toBeGreaterThan(2);
      const sets = new Map(nodes.map((node, at) => [shown[at], node.status()]));
      for (const [proofs, { quorum, validators }] of sets) {
        expect(proofs?.size).toBeGreaterThan(100);
        const counts = new Set(proofs?.values());
        expect([...counts].filter((count) => typeof count === "string")).toEqual([]);
        for (const count of counts) {
          expect(count).toBeGreaterThanOrEqual(quorum);
          expect(count).toBeLessThanOrEqual(validators);
        }
      }
      const decided = [...byLog].filter((hash) => shown[0]?.has(hash));
      expect(decided.length).toBeGreaterThan(0);
    },
    TEST_MS,
  );
});
