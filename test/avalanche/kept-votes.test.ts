import { describe, expect, test } from "bun:test";
import { encode } from "../../src/codec/codec.ts";
import { option, struct, vec } from "../../src/codec/composites.ts";
import { u16 } from "../../src/codec/primitives.ts";
import { DecodeError } from "../../src/codec/reader.ts";
import { lane, made, NETWORK, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import { dagCertificateCodec } from "../../src/consensus/dag-certificate.ts";
import type { DagOpen } from "../../src/consensus/dag-engine.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import { signedVotesCodec, type VoteLevel } from "../../src/dag/votes.ts";
import type { Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import type { Signed } from "../../src/membership/seal.ts";
import { DagCluster } from "../../src/sim/avalanche/dag-cluster.ts";
import { networkOf } from "../cluster/signing.ts";
import { Seat } from "./seat.ts";

/** The votes that a commit rests on: durable with it, once for all bundles of a turn, and gone with the last one that needs them. */

type Rows = ReadonlyMap<string, Uint8Array>;

function disk(seat: Seat, before: Rows = new Map()): Rows {
  const rows = new Map(before);
  for (const effect of seat.effects) {
    if (effect.kind !== "persist") continue;
    for (const { key, value } of effect.writes) {
      if (value === null) rows.delete(key);
      else rows.set(key, value);
    }
  }
  return rows;
}

function namesOf(rows: Rows): readonly string[] {
  return [...rows.keys()].map((key) => key.split("/")[1] ?? "").sort();
}

/** What it finds after a crash. */
function again(rows: Rows, open: readonly HeldBundle[]): Seat {
  return new Seat({
    rows: [...rows].map(([key, value]) => ({ key, value })),
    restored: {
      lanes: NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis })),
      open: open.map((held): DagOpen => ({ held, place: "open", accepted: [], rejected: [], certified: [] })),
    },
  });
}

/** One message of each of them about all these bundles, as a turn has it. */
function turn(seat: Seat, level: VoteLevel, from: readonly number[], bundles: readonly HeldBundle[]): void {
  const entries = bundles.map(({ ref }) => ({ level, bundle: ref.digest, except: [] }));
  for (const signer of from) seat.hear(signer, { kind: "votes", entries });
}

function signersOf(seat: Seat, held: HeldBundle): readonly number[] {
  const open = seat.core.handOver().open.find((each) => each.held.ref.digest === held.ref.digest);
  return open?.certified.flatMap(({ votes }) => votes.map(({ proof }) => proof.seal.signer as number)) ?? [];
}

const [A, B] = lane(1, 2) as [HeldBundle, HeldBundle];

/** Committed to both bundles of a lane, by the same turn's votes of three of four. */
function committed(): Seat {
  const seat = new Seat();
  seat.bundles(A, B);
  turn(seat, "accept", [1, 2, 3], [A, B]);
  expect([A, B].every((held) => seat.votedFor("commit", held, 0))).toBe(true);
  return seat;
}

describe("the votes that a commit rests on", () => {
  test("are on the disk once, however many bundles a message votes for, and no more than a quorum's", () => {
    expect(namesOf(disk(committed()))).toEqual(["heard", "heard", "heard", "vote", "vote"]);
  });

  test("are in the very write with which the commit becomes durable", () => {
    const seat = committed();
    for (let at = 0; at < seat.effects.length; at++) {
      const effect = seat.effects[at];
      if (effect?.kind !== "broadcast" || effect.message.kind !== "votes") continue;
      const before = new Seat();
      before.effects.push(...seat.effects.slice(0, at));
      const known = again(disk(before), [A, B]);
      for (const { level, bundle } of effect.message.entries) {
        if (level !== "commit") continue;
        expect(signersOf(known, bundle === A.ref.digest ? A : B)).toEqual([1, 2, 3]);
      }
    }
  });

  test("stay while one bundle needs them, also over a crash, and go with the last one", () => {
    const seat = committed();
    seat.votes("commit", A, [1, 2, 3]);
    const rows = disk(seat);
    expect(namesOf(rows)).toEqual(["heard", "heard", "heard", "vote"]);
    const next = again(rows, [B]);
    expect(signersOf(next, B)).toEqual([1, 2, 3]);
    seat.votes("commit", B, [1, 2, 3]);
    expect(namesOf(disk(seat))).toEqual([]);
  });

  test("go at the next start where a crash came between the decision and their end", () => {
    const rows = disk(committed());
    const next = again(rows, []);
    expect(namesOf(disk(next, rows))).toEqual([]);
  });

  test("are replaced by those of everybody where nobody's message covers all", () => {
    const seat = new Seat();
    const held = made({ creator: 1, payloads: [vertex("x"), vertex("y")] });
    seat.bundles(held);
    seat.votes("accept", held, [1, 2, 3], [1]);
    expect(namesOf(disk(seat))).toEqual(["heard", "heard", "heard", "vote"]);
    seat.votes("accept", held, [1, 2, 3]);
    expect(signersOf(again(disk(seat), [held]), held)).toEqual(signersOf(seat, held));
    seat.votes("commit", held, [1, 2, 3]);
    expect(namesOf(disk(seat))).toEqual([]);
  });
});

describe("a disk that lost or changed one of them", () => {
  const rows = disk(committed());
  const [key, value] = [...rows].find(([name]) => name.startsWith("dag/heard/")) ?? ["", new Uint8Array()];

  test("is refused at once, and not when the votes are wanted", () => {
    expect(() => again(new Map([...rows].filter(([name]) => name !== key)), [A, B])).toThrow(DecodeError);
    const changed = value.slice();
    changed[changed.length - 1] = 1 - (changed.at(-1) ?? 0);
    expect(() => again(new Map([...rows, [key, changed]]), [A, B])).toThrow(DecodeError);
    const flipped = value.slice();
    flipped[200] = 255 - (flipped[200] ?? 0);
    expect(() => again(new Map([...rows, [key, flipped]]), [A, B])).toThrow("is not what was written under it");
  });
});

describe("a row of format 3", () => {
  const exceptions = vec(u16, 1_024);
  const layout = struct<{
    accept: readonly number[] | null;
    commit: readonly number[] | null;
    held: readonly never[];
    reported: readonly number[];
    accepts: readonly Signed<{ kind: "votes"; entries: never }>[];
  }>({
    accept: option(exceptions),
    commit: option(exceptions),
    held: vec(dagCertificateCodec, 16) as never,
    reported: exceptions,
    accepts: vec(signedVotesCodec, 100) as never,
  });

  test("is taken over with its votes, which get rows of their own", () => {
    const votes = committed()
      .core.handOver()
      .open.flatMap(({ certified }) => certified)
      .flatMap((each) => each.votes)
      .slice(0, 3);
    const old = { accept: [], commit: [], held: [], reported: [], accepts: votes as never };
    const rows = new Map([[`dag/vote/${A.ref.digest}`, encode(layout, old)]]);
    const seat = again(rows, [A]);
    const taken = disk(seat, rows);
    expect(namesOf(taken)).toEqual(["heard", "heard", "heard", "vote", "witness"]);
    expect(signersOf(again(taken, [A]), A)).toEqual([1, 2, 3]);
  });
});

describe("a network in which everything is settled", () => {
  test("has no row of any vote on any disk", () => {
    const cluster = new DagCluster({
      network: networkOf(4),
      params: deriveParams(4, { resolveAfterMs: 400, patienceMs: 200 }),
      seed: 9,
      weather: { delayMinMs: 2, delayMaxMs: 9, lossPermille: 50 },
      logMs: 50,
      passes: () => true,
    });
    const bundles: HeldBundle[] = [];
    let rowsMax = 0;
    for (let round = 0; round < 8; round++) {
      for (const creator of [0, 1, 2, 3])
        bundles.push(cluster.submit(creator as ValidatorIndex, [vertex(`${creator} of ${round}`, `seat ${round}`)]));
      if (round === 4) cluster.crash(2 as ValidatorIndex);
      if (round === 6) cluster.restart(2 as ValidatorIndex);
      cluster.run(cluster.schedule.nowMs + 60);
      rowsMax = Math.max(rowsMax, ...cluster.members.map(({ disk: { size } }) => size));
    }
    const isSettled = (): boolean =>
      cluster.members.every(({ disk: rows }) => [...rows.keys()].every((key) => key === "dag/witness"));
    expect(rowsMax).toBeGreaterThan(4);
    expect(cluster.run(60_000, isSettled)).toBe(true);
    for (const { inside } of cluster.members) expect([...inside.graph.open()]).toEqual([]);
    expect(bundles.length).toBe(32);
  });
});
