import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { encode } from "../../src/codec/codec.ts";
import { type Bundle, bundleCodec, bundleStatement, holdBundle } from "../../src/dag/bundle.ts";
import { merkleRoot } from "../../src/crypto/merkle.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import { sealedBytes } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import type { TransportHandler } from "../../src/node/ports.ts";
import { frameCodec } from "../../src/node/wire.ts";
import { LIARS_MARK } from "../../src/sim/violation.ts";
import { kindsOf, Scene, SETTLED_MS, withTransport } from "./scene.ts";

/** Virtual time is cheap, and a busy machine slow. */
setDefaultTimeout(60_000);

const EVERYBODY = [0, 1, 2, 3];

/** An idle network's timers and statuses in ten virtual seconds are about a thousand events. */
const IDLE_EVENTS_MAX = 5_000;

const same = <T>(value: T, count: number): readonly T[] => Array.from({ length: count }, () => value);

describe("a validator that is removed under load", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    test(`and admitted again is never convicted, though a peer forgot what it held (seed ${seed})`, async () => {
      const scene = new Scene({ nodes: 5, seed, delayMs: [0.5, 20], dismissed: [4] });
      await scene.until(SETTLED_MS);
      scene.load([4], SETTLED_MS, SETTLED_MS + 400, 2);
      scene.world.schedule.at(SETTLED_MS + 100, () => scene.dismiss(EVERYBODY, 4));
      await scene.until(4_000);
      expect(EVERYBODY.map((place) => scene.epochOf(place))).toEqual([1, 1, 1, 1]);
      scene.admit(EVERYBODY, 4);
      await scene.until(6_000);
      expect([scene.isValidator(4), scene.reasonsOf(4)]).toEqual([true, []]);
      scene.restart(1);
      await scene.pass(70);
      const [before = 0] = scene.positionsOf([0]);
      scene.pay(4, 2);
      await scene.pass(5_000);
      expect(scene.accused).toEqual([]);
      expect(scene.positionsOf([...EVERYBODY, 4])).toEqual(same(before + 2, 5));
    });

    test(`works and votes on when it is admitted again eight seconds later (seed ${seed})`, async () => {
      const scene = new Scene({ nodes: 5, seed, delayMs: [0.5, 10], dismissed: [4] });
      await scene.until(SETTLED_MS);
      scene.load([4], SETTLED_MS, SETTLED_MS + 200, 2);
      scene.world.schedule.at(SETTLED_MS + 100, () => scene.dismiss(EVERYBODY, 4));
      await scene.until(12_000);
      scene.admit(EVERYBODY, 4);
      await scene.until(14_000);
      const [before = 0] = scene.positionsOf([0]);
      scene.pay(4, 2);
      await scene.pass(4_000);
      expect(scene.accused).toEqual([]);
      expect(scene.positionsOf([...EVERYBODY, 4])).toEqual(same(before + 2, 5));
      // Without node 1 a quorum needs its vote.
      scene.world.node(1).crash();
      scene.pay(0);
      await scene.pass(4_000);
      expect(scene.positionsOf([0, 2, 3, 4])).toEqual(same(before + 3, 4));
    });

    test(`while its signer has a turn in hand does not fail (seed ${seed})`, async () => {
      const scene = new Scene({
        nodes: 5,
        seed,
        delayMs: [0.5, 5],
        dismissed: [4],
        alter: (parts, { place }, { world }) => {
          if (place !== 4) return parts;
          const sign: typeof parts.signer.sign = async (message) => {
            const signature = await parts.signer.sign(message);
            await new Promise<void>((resolve) => void world.schedule.after(10, resolve));
            return signature;
          };
          return { ...parts, signer: { sign } };
        },
      });
      await scene.until(SETTLED_MS);
      scene.load([4], SETTLED_MS, SETTLED_MS + 400, 2);
      scene.world.schedule.at(SETTLED_MS + 100, () => scene.dismiss(EVERYBODY, 4));
      await scene.until(5_000);
      const [length = 0] = scene.positionsOf([0]);
      expect(scene.positionsOf([...EVERYBODY, 4])).toEqual(same(length, 5));
      expect([scene.epochOf(4), scene.isValidator(4), scene.accused]).toEqual([1, false, []]);
    });
  }
});

describe("a removed creator's bundle", () => {
  test("that is verified across the switch leaves the idle network quiet", async () => {
    for (let sentMs = 0; sentMs < 120; sentMs += 3) {
      const scene = new Scene({
        nodes: 5,
        delayMs: [0.5, 5],
        dismissed: [4],
        alter: (parts, _node, { world }) => {
          const verify: typeof parts.verifier.verify = async (signer, message, signature) => {
            const holds = await parts.verifier.verify(signer, message, signature);
            await new Promise<void>((resolve) => void world.schedule.after(8, resolve));
            return holds;
          };
          return { ...parts, verifier: { verify } };
        },
      });
      await scene.until(SETTLED_MS);
      scene.world.schedule.at(SETTLED_MS + 100, () => scene.dismiss(EVERYBODY, 4));
      scene.world.schedule.at(SETTLED_MS + 100 + sentMs, () => scene.pay(4));
      await scene.until(12_000);
      const views = EVERYBODY.map((place) => `epoch ${scene.epochOf(place)} view ${scene.viewOf(place)}`);
      expect({ sentMs, views }).toEqual({ sentMs, views: same("epoch 1 view 0", 4) as string[] });
    }
  });
});

describe("a node that slept", () => {
  for (const { name, away } of [
    { name: "catches up from the newest set, none of the set that it knew is left", away: [1, 2, 3] },
    { name: "catches up though one that was removed is still there", away: [1, 2] },
  ]) {
    test(`while all others were replaced ${name}`, async () => {
      const scene = new Scene({ nodes: 4, joiners: 4, dismissed: [1, 2, 3] });
      await scene.until(SETTLED_MS);
      scene.world.node(0).crash();
      const set = new Set([1, 2, 3]);
      for (const joiner of [4, 5, 6, 7]) {
        scene.admit([...set], joiner);
        await scene.pass(1_500);
        set.add(joiner);
      }
      for (const leaver of [1, 2, 3]) {
        scene.dismiss([...set], leaver);
        await scene.pass(1_500);
        set.delete(leaver);
      }
      expect([4, 5, 6, 7].map((place) => scene.epochOf(place))).toEqual([7, 7, 7, 7]);
      for (const place of away) scene.world.node(place).crash();
      await scene.pass(1_500);
      scene.pay(4);
      await scene.pass(3_000);
      const [length = 0] = scene.positionsOf([4]);
      expect(length).toBeGreaterThan(0);
      scene.world.node(0).start();
      await scene.pass(20_000);
      expect([scene.epochOf(0), scene.positionsOf([0]), scene.reasonsOf(0)]).toEqual([7, [length], []]);
      scene.pay(0);
      await scene.pass(2_000);
      expect(scene.positionsOf([0, 4, 5, 6, 7])).toEqual(same(length + 1, 5));
      // Two that take each other for outsiders do not go on telling each other where they stand.
      const { schedule } = scene.world;
      const before = schedule.ran;
      await scene.pass(10_000);
      expect(schedule.ran - before).toBeLessThan(IDLE_EVENTS_MAX);
    });
  }
});

describe("a change of the set", () => {
  test("removes so few that the others finish the epoch though these switch off at once", async () => {
    const scene = new Scene({ nodes: 7, delayMs: [1, 3], dismissed: [4, 5, 6] });
    const remaining = EVERYBODY;
    await scene.until(SETTLED_MS);
    let isCut = false;
    scene.world.passes = (_from, to, lane, frame) =>
      !isCut || lane !== "consensus" || to.place > 3 || !kindsOf(frame).some((kind) => kind === "status" || kind === 2);
    // One short of a quorum each; the last word orders all three in one batch, whose commits only those three see.
    for (const place of [4, 5, 6]) scene.dismiss(remaining, place);
    await scene.until(4_000);
    expect(scene.epochOf(0)).toBe(0);
    isCut = true;
    for (const place of [4, 5, 6]) scene.dismiss([4], place);
    const isOver = await scene.until(8_000, () => [4, 5, 6].every((place) => scene.epochOf(place) === 1));
    expect([isOver, scene.epochOf(0)]).toEqual([true, 0]);
    const removed = [4, 5, 6].filter((place) => !scene.isValidator(place));
    for (const place of removed) scene.world.node(place).crash();
    isCut = false;
    await scene.pass(20_000);
    for (const place of remaining) expect(scene.epochOf(place)).toBeGreaterThanOrEqual(1);
    const [before = 0] = scene.positionsOf([0]);
    scene.pay(0);
    await scene.pass(3_000);
    expect(scene.positionsOf(remaining)).toEqual(same(before + 1, 4));
    expect(removed).toHaveLength(2);
  });

  test("makes the keys of new validators count before it is on a slow disk, and nobody is blamed", async () => {
    for (const seed of [1, 2]) {
      const scene = new Scene({
        nodes: 4,
        joiners: 1,
        seed,
        delayMs: [1, 3],
        alter: (parts) => {
          const known = new Set(parts.network.set.roster.map(({ nodeId }) => nodeId));
          const onMembership: typeof parts.onMembership = (membership, changed) => {
            parts.onMembership?.(membership, changed);
            for (const { nodeId } of membership.entries) known.add(nodeId);
          };
          const verify: typeof parts.verifier.verify = async (signer, message, signature) =>
            known.has(signer) && (await parts.verifier.verify(signer, message, signature));
          return { ...parts, onMembership, verifier: { verify } };
        },
      });
      await scene.until(SETTLED_MS);
      scene.world.node(0).disk.weather = { fsyncMinMs: 100, fsyncMaxMs: 200, readMaxMs: 0.5 };
      scene.admit(EVERYBODY, 4);
      scene.load([4], SETTLED_MS, SETTLED_MS + 1_000, 4);
      await scene.until(6_000);
      expect([scene.isValidator(4), scene.world.detected.size]).toEqual([true, 0]);
      expect(scene.positionsOf([4])[0]).toBeGreaterThan(100);
    }
  });

  test("by reports never lowers how many liars the set tolerates", async () => {
    const scene = new Scene({
      nodes: 7,
      reportIntervalMs: 500,
      alter: (parts, _node, { world }) => ({
        ...parts,
        // Two correct validators that nobody could hear for more than five minutes.
        observations: () =>
          [5, 6].map((place) => ({
            nodeId: world.node(place).keys.nodeId,
            validPpm: 1_000_000,
            uptimePpm: 900_000,
            inactiveMs: 300_001,
          })),
      }),
    });
    await scene.until(SETTLED_MS);
    for (const place of [5, 6]) scene.world.node(place).crash();
    await scene.until(8_000);
    const view = scene.world.node(0).node?.membership();
    expect([view?.epoch, view?.active, view?.faultTolerance]).toEqual([0, 7, 2]);
    // The reports were ordered: it is the rule that keeps the two.
    expect(view?.members.map(({ condemned }) => condemned)).toEqual([...same(null, 5), "inactivity", "inactivity"]);
  });

  test("orders no bundle of its last batch again", async () => {
    for (const seed of [1, 2, 3]) {
      const ordered: string[] = [];
      const scene = new Scene({
        nodes: 5,
        seed,
        dismissed: [4],
        onEffect: (place, effect) => {
          if (place === 0 && effect.kind === "finalize") ordered.push(...effect.slot.batch.bundles);
        },
      });
      await scene.until(SETTLED_MS);
      scene.dismiss(EVERYBODY, 4);
      await scene.until(8_000);
      expect([scene.epochOf(0), ordered.length > 0]).toEqual([1, true]);
      expect(new Set(ordered).size).toBe(ordered.length);
    }
  });

  test("under load, and restarts right after it, make no validator believe that it lost its memory", async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const scene = new Scene({ nodes: 5, seed, delayMs: [5, 20], dismissed: [4] });
      await scene.until(SETTLED_MS);
      scene.load(EVERYBODY, SETTLED_MS, SETTLED_MS + 400, 3);
      scene.world.schedule.at(SETTLED_MS + 150, () => scene.dismiss(EVERYBODY, 4));
      const hasSwitched = await scene.until(5_000, () => EVERYBODY.every((place) => scene.epochOf(place) === 1));
      for (const place of [3, 2]) {
        scene.restart(place);
        await scene.pass(20);
      }
      scene.world.schedule.at(10_000, () => scene.pay(0));
      await scene.until(25_000);
      const reasons = EVERYBODY.map((place) => scene.reasonsOf(place).join("; "));
      expect({ seed, hasSwitched, reasons }).toEqual({ seed, hasSwitched: true, reasons: ["", "", "", ""] });
    }
  });

  test("after views that failed makes nobody believe that it forgot them", async () => {
    const scene = new Scene({ nodes: 5, dismissed: [4] });
    await scene.until(SETTLED_MS);
    scene.world.node(0).crash();
    scene.pay(1);
    await scene.pass(3_000);
    expect(scene.viewOf(1)).toBe("1");
    scene.world.node(0).start();
    await scene.pass(3_000);
    scene.dismiss(EVERYBODY, 4);
    await scene.pass(3_000);
    for (const place of [1, 2]) {
      scene.restart(place);
      await scene.pass(50);
    }
    await scene.pass(3_000);
    expect(EVERYBODY.map((place) => [scene.epochOf(place), scene.reasonsOf(place).join()])).toEqual(
      EVERYBODY.map(() => [1, ""]),
    );
  });
});

describe("a liar's forks of an executed place", () => {
  test("are evidence, and nobody keeps them", async () => {
    const handlers = new Map<number, TransportHandler>();
    const scene = new Scene({
      nodes: 3,
      liars: [2],
      alter: (parts, { place }) => {
        const start = (handler: TransportHandler): Promise<void> => {
          handlers.set(place, handler);
          return parts.transport.start(handler);
        };
        return withTransport(parts, { start });
      },
    });
    await scene.until(SETTLED_MS);
    scene.pay(2);
    await scene.until(4_000);
    expect(scene.positionsOf([0])).toEqual([1]);
    for (let fork = 0; fork < 20; fork++) {
      const frame = forkedFrame(scene, 2 as ValidatorIndex, fork);
      const { nodeId } = scene.world.node(2).keys;
      scene.world.schedule.after(2 * fork, () => void handlers.get(0)?.onFrame(nodeId, "dissemination", frame));
    }
    await scene.pass(6_000);
    expect(scene.accused).toContainEqual({ by: 0, signer: 2 });
    const { node } = scene.world.node(0);
    expect(node?.membership().members[2]?.condemned).toBe("evidence");
    expect(node?.status().pending).toBe(0);
  });
});

/** Another content for the first place of a liar's lane, under a signature of its own. */
function forkedFrame({ world }: Scene, creator: ValidatorIndex, fork: number): Uint8Array {
  const network = world.networkContext();
  const bundle: Bundle = {
    creator,
    term: 0 as Epoch,
    purpose: "application",
    firstNonce: 1 as Nonce,
    timestampMs: 1_700_000_000_000 + fork,
    parents: [network.genesis],
    payloads: same(new Uint8Array(1_024).fill(LIARS_MARK), 8),
  };
  const leaf = statementDigest(network, bundleStatement(holdBundle(network, bundle).ref));
  const signature = world.node(creator).keys.sign(sealedBytes(network, creator, 1, merkleRoot([leaf])));
  const body = encode(bundleCodec, bundle);
  const seal = { signer: creator, leafCount: 1, signature };
  const [items, complement] = [[{ index: 0, body }], new Uint8Array(0)];
  return encode(frameCodec, { kind: "sealed", epoch: network.set.epoch, seal, items, complement });
}
