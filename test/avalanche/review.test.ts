import { describe, expect, test } from "bun:test";
import { arrival, made, NETWORK, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import type { CoreOptions } from "../../src/consensus/avalanche/core.ts";
import { PAST_MAX, SETTLED_MAX } from "../../src/consensus/avalanche/limits.ts";
import { Orphans } from "../../src/consensus/avalanche/orphans.ts";
import type { DagArrival, DagCertificate, DagClaim, DagOpen, Unit } from "../../src/consensus/dag-engine.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import { conflictSetOf, openEnvelope } from "../../src/dag/conflict-keys.ts";
import { BUNDLE_VERTICES_MAX } from "../../src/dag/limits.ts";
import type { LaneTip } from "../../src/dag/lanes.ts";
import { vertexOf } from "../../src/dag/resolution.cases.ts";
import { judge } from "../../src/dag/resolution.ts";
import { NO_RESOLUTIONS } from "../../src/dag/resolution-state.ts";
import type { Member } from "../../src/dag/unit-proof.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import type { ValidatorSet } from "../../src/membership/validator-set.ts";
import { networkOf } from "../cluster/signing.ts";

import { Seat } from "./seat.ts";

function setsOf(held: HeldBundle, index: number): readonly Hash[] {
  const payload = held.bundle.payloads[index];
  return (payload === undefined ? [] : (openEnvelope(payload)?.conflictKeys ?? [])).map(conflictSetOf);
}

function unit(held: HeldBundle, index: number | null): Unit {
  return { bundle: held.ref.digest, vertex: index };
}

describe("the log's word and late certificates", () => {
  test("what lost in the log is not committed to, though a quorum accepted it and its bundle is open", () => {
    const rogue = made({ creator: 1, payloads: [vertex("x", "k"), vertex("other", "m")] });
    const rival = made({ creator: 2, payloads: [vertex("y", "k")] });
    const seat = new Seat();
    seat.bundles(rogue, rival);
    // Reported before anything is certified here: a promise not to commit to anything of `k`.
    seat.event({
      kind: "resolutions",
      reported: [{ subject: unit(rival, 0), reports: 2 }],
      decided: [],
    });
    seat.votes("accept", rogue, [1, 2, 3], [1]);
    seat.votes("accept", rival, [1, 2, 3], [0]);
    seat.votes("commit", rival, [1, 2, 3], [0]);
    seat.event({ kind: "resolutions", reported: [], decided: [{ winner: unit(rival, 0), sets: setsOf(rival, 0) }] });
    expect(seat.decisions().some(({ bundle, accepted }) => bundle === rival.ref.digest && accepted.includes(0))).toBe(
      true,
    );
    // A late vote about the other vertex makes this node look at the bundle again.
    seat.votes("accept", rogue, [3], []);
    expect(seat.votedFor("commit", rogue, 0)).toBe(false);
  });
});

describe("what is restored", () => {
  test("a place that was final before a restart has won its fork: another bundle for it is dead, and nobody stops", () => {
    const first = made({ creator: 1, payloads: [vertex("a", "k")] });
    const places = [..."pqrstuvw"].map((name) => made({ creator: 1, previous: first, payloads: [vertex(name, "m")] }));
    places.sort((left, right) => (left.ref.digest < right.ref.digest ? -1 : 1));
    const [fork, final] = [places.at(0), places.at(-1)];
    if (fork === undefined || final === undefined) throw new Error("eight bundles");
    const open = [first, final].map((held) => ({
      held,
      place: "accepted" as const,
      accepted: [],
      rejected: [],
      certified: [],
    }));
    const lanes = NETWORK.set.roster.map((_, creator) =>
      creator === 1 ? { nonce: 2 as Nonce, tip: final.ref.tip } : { nonce: 0 as Nonce, tip: NETWORK.genesis },
    );
    const seat = new Seat({ restored: { lanes, open } });
    seat.bundles(fork);
    seat.wait(3_000);
    seat.votes("accept", fork, [1, 2, 3]);
    seat.votes("commit", fork, [1, 2, 3]);
    expect(seat.said().some(({ bundle }) => bundle === fork.ref.digest)).toBe(false);
    expect(seat.decisions().find(({ bundle }) => bundle === fork.ref.digest)?.place).toBe("rejected");
  });
});

describe("one liar's answers", () => {
  test("its dissents count once, however often it names a vertex: a virtuous vertex is accepted by sampling", () => {
    const virtuous = made({ creator: 1, payloads: [vertex("v", "k")] });
    const seat = new Seat();
    seat.bundles(virtuous);
    seat.poll(40, virtuous, { liar: 3, dissents: 4 });
    expect(seat.votedFor("accept", virtuous, 0)).toBe(true);
  });
});

describe("frozen sets", () => {
  test("a vertex whose rival lost elsewhere is reported although nobody contests it any more", () => {
    const rogue = made({ creator: 1, payloads: [vertex("x", "k", "m")] });
    const winner = made({ creator: 2, payloads: [vertex("y", "k")] });
    const left = made({ creator: 3, payloads: [vertex("z", "m")] });
    const seat = new Seat();
    seat.bundles(rogue, winner, left);
    // All three are voted for as bundles, so that only the vertices stay open.
    for (const held of [rogue, winner, left])
      for (const level of ["accept", "commit"] as const) seat.votes(level, held, [1, 2, 3], [0]);
    seat.event({ kind: "resolutions", reported: [{ subject: unit(rogue, 0), reports: 2 }], decided: [] });
    seat.event({ kind: "resolutions", reported: [], decided: [{ winner: unit(winner, 0), sets: setsOf(winner, 0) }] });
    seat.wait(30_000);
    const isVoted = seat.votedFor("accept", left, 0);
    const isReported = seat.reported().some(({ bundle }) => bundle === left.ref.digest);
    expect(isVoted || isReported).toBe(true);
  });
});

describe("reports with certificates of what lost", () => {
  const { set } = networkOf(4);
  const [x, y, z] = [vertexOf("x", 0, "km"), vertexOf("y", 0, "k"), vertexOf("z", 0, "m")];
  const report = (creator: number, subject: Member, certified: Member | null) => ({
    creator: creator as ValidatorIndex,
    subject,
    certified,
  });

  test("a unit that a quorum committed to does not lose to one liar's certificate of a unit that has lost", () => {
    // x was accepted by a quorum that did not learn of it in time; those of them that saw it lose accepted z afterwards.
    const first = judge(
      NO_RESOLUTIONS,
      set,
      [0, 1, 2].map((creator) => report(creator, y, null)),
    );
    const second = judge(first.state, set, [report(3, z, x), report(0, z, z), report(1, z, z)]);
    expect(second.lost).toEqual([]);
    expect(second.decided.map(({ winner }) => winner)).toEqual([z.unit]);
  });

  test("of two living certified rivals the log takes none", () => {
    const { decided, lost } = judge(NO_RESOLUTIONS, set, [report(3, z, x), report(0, z, z), report(1, z, z)]);
    expect([...decided, ...lost]).toEqual([]);
  });
});

describe("the passage to the next epoch", () => {
  /** All of a bundle of one vertex, as far as its holder knows; of epoch 0 where nothing else is said. */
  function whole(epoch = 0): DagCertificate {
    return { epoch: epoch as Epoch, place: true, vertices: [0], votes: [] };
  }

  function open(held: HeldBundle, certified: readonly DagCertificate[]): DagOpen {
    return { held, place: "open", accepted: [], rejected: [], certified };
  }

  function lanes(): readonly LaneTip[] {
    return NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis }));
  }

  /** What is on the disk of a validator that has done all that. */
  function rowsOf(seat: Seat): CoreOptions["rows"] {
    const rows = new Map<string, Uint8Array>();
    for (const effect of seat.effects) {
      if (effect.kind !== "persist") continue;
      for (const { key, value } of effect.writes) {
        if (value === null) rows.delete(key);
        else rows.set(key, value);
      }
    }
    return [...rows].map(([key, value]) => ({ key, value }));
  }

  function later(previous: ValidatorSet, changes: Partial<CoreOptions>): Seat {
    return new Seat({ network: networkOf(4, { epoch: 1 }), previous, remembersPrevious: true, ...changes });
  }

  test("what was committed to before a crash is handed over with the votes that prove it", () => {
    const held = made({ creator: 1, payloads: [vertex("z", "m")] });
    const before = new Seat();
    before.bundles(held);
    before.votes("accept", held, [1, 2, 3]);
    expect(before.votedFor("commit", held, 0)).toBe(true);
    const after = new Seat({ rows: rowsOf(before), restored: { lanes: lanes(), open: [open(held, [])] } });
    expect(after.core.claimOf(held.ref.digest)).toMatchObject({ state: "certified", undecided: [] });
    const [certificate] = after.core.handOver().open.flatMap(({ certified }) => certified);
    expect(certificate).toMatchObject({ epoch: whole().epoch, place: true, vertices: whole().vertices });
    expect(certificate?.votes.map(({ proof }) => proof.seal.signer as number)).toEqual([1, 2, 3]);
  });

  test("what the epoch before certified is known after any number of crashes", () => {
    const held = made({ creator: 1, payloads: [vertex("z", "m")] });
    const first = later(NETWORK.set, { restored: { lanes: lanes(), open: [open(held, [whole()])] } });
    const second = later(NETWORK.set, { rows: rowsOf(first), restored: { lanes: lanes(), open: [open(held, [])] } });
    expect(second.core.handOver().open.map(({ certified }) => certified)).toEqual([[whole()]]);
  });

  test("who left is asked as well: of five, a quorum may need the one that is gone", () => {
    const seat = later(networkOf(5).set, {});
    seat.wait(2_000);
    const asked = seat.effects.flatMap((effect) => (effect.kind === "dag-sync" ? [effect.from as number] : []));
    expect(new Set(asked)).toEqual(new Set([1, 2, 3, 4]));
  });

  test("what is lost is not told by validators that are none any more", () => {
    const held = made({ creator: 1 });
    const seat = new Seat();
    seat.bundles(held);
    for (const from of [7, 8]) {
      const claims: readonly DagClaim[] = [{ bundle: held.ref.digest, state: "rejected", undecided: [], rejected: [] }];
      seat.event({
        kind: "dag-claims",
        from: from as ValidatorIndex,
        epoch: 0 as Epoch,
        passed: [],
        claims,
        isLast: true,
      });
    }
    expect(seat.decisions()).toEqual([]);
  });
});

describe("a double spend behind a parent that is withheld", () => {
  test("is not accepted when the other spend is forgotten by then: what the ledger said of it is too old", () => {
    const seat = new Seat();
    const hidden = made({ creator: 3, payloads: [vertex("h")] });
    const double = made({ creator: 3, previous: hidden, payloads: [vertex("double", "spent")] });
    const finish = (...bundles: readonly HeldBundle[]): void => {
      seat.bundles(...bundles);
      for (const held of bundles) for (const level of ["accept", "commit"] as const) seat.votes(level, held, [1, 2, 3]);
    };
    seat.bundles(double);
    finish(made({ creator: 2, payloads: [vertex("first", "spent")] }));
    let previous: HeldBundle | null = null;
    const others = PAST_MAX / 8 / BUNDLE_VERTICES_MAX + 1;
    for (let at = 0; at < SETTLED_MAX + others + 1; at++) {
      const count = at < others ? BUNDLE_VERTICES_MAX : 1;
      const keys = (vertexAt: number): readonly string[] => [..."abcdefgh"].map((key) => `${at}.${vertexAt}${key}`);
      const payloads = Array.from({ length: count }, (_, index) => vertex("s", ...(count > 1 ? keys(index) : [])));
      previous = made({ creator: 1, previous, payloads });
      finish(previous);
    }
    finish(hidden);
    seat.votes("accept", double, [1, 2, 3]);
    seat.votes("commit", double, [1, 2, 3]);
    expect(seat.decisions().filter(({ bundle }) => bundle === double.ref.digest)).toEqual([]);
  }, 60_000);
});

describe("an answer", () => {
  test("votes for nothing that its sender does not prefer, however many dissents that takes", () => {
    const seat = new Seat();
    const spent = Array.from({ length: 300 }, (_, at) => `k${at}`);
    // What the first lane's vertices claim is final elsewhere or preferred otherwise: each is a dissent.
    seat.bundles(made({ creator: 2, payloads: spent.map((key) => vertex("first", key)) }));
    seat.wait(3_000);
    const rogue: HeldBundle[] = [];
    for (const key of spent)
      rogue.push(made({ creator: 1, previous: rogue.at(-1) ?? null, payloads: [vertex("x", key)] }));
    seat.bundles(...rogue);
    const lane = [rogue.at(-1), rogue.at(0)].flatMap((held) => held?.ref.digest ?? []);
    seat.hear(3, { kind: "query", poll: 1, lanes: [lane] });
    const answers = seat.effects.flatMap((effect) =>
      effect.kind === "send" && effect.message.kind === "answer" ? [effect.message] : [],
    );
    const [answer] = answers;
    expect(answers).toHaveLength(1);
    expect(answer?.heads).toEqual([1]);
    expect(answer?.dissents.map(({ bundle }) => bundle)).toEqual(lane.slice(1));
  });
});

describe("what one liar names", () => {
  const garbage = (from: number, count: number): readonly Hash[] =>
    Array.from({ length: count }, (_, at) => (from * 1_000_000 + at).toString(16).padStart(64, "0") as Hash);

  test("does not keep a bundle that others name from being fetched from them", () => {
    const seat = new Seat();
    const wanted = made({ creator: 1 }).ref.digest;
    const names = [...garbage(3, 5_000), wanted];
    for (let round = 0; round < 20; round++) {
      for (let at = 0; at < names.length; at += 16) {
        seat.hear(3, { kind: "query", poll: at, lanes: [names.slice(at, at + 16)] });
      }
      if (round === 0) seat.hear(2, { kind: "query", poll: 1, lanes: [[wanted]] });
      seat.wait(100);
    }
    const asked = seat.effects.flatMap((effect) =>
      effect.kind === "fetch-bundles" && effect.digests.includes(wanted) ? effect.from.map(Number) : [],
    );
    expect(asked).toContain(2);
  });

  test("missing parents by the hundred do not take the turn of the one that comes after them", () => {
    const orphans = new Orphans();
    const after = (previous: Hash, creator: number): DagArrival => {
      const held = made({ creator });
      return arrival({ ...held, ref: { ...held.ref, digest: previous, creator: creator as ValidatorIndex } });
    };
    for (const tip of garbage(3, 500)) orphans.add(tip, after(tip, 3), 0);
    const [wanted] = garbage(1, 1);
    if (wanted === undefined) throw new Error("a hash");
    orphans.add(wanted, after(wanted, 1), 0);
    const asked = new Set<Hash>();
    for (let nowMs = 100; nowMs <= 1_000; nowMs += 100) for (const { tip } of orphans.due(nowMs, 64)) asked.add(tip);
    expect(asked.has(wanted)).toBe(true);
  });
});
