import { describe, expect, test } from "bun:test";
import { arrival, lane, made, NETWORK, noHash, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { type AvalancheMessage, encodeMessage } from "../../src/consensus/avalanche/messages.ts";
import { messagesOf } from "../../src/consensus/avalanche/voting.ts";
import type { DagClaim, DagDecision } from "../../src/consensus/dag-engine.ts";
import type { Effect, Verified } from "../../src/consensus/engine.ts";
import { forkSetOf } from "../../src/dag/conflict-keys.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import { openEnvelope } from "../../src/dag/conflict-keys.ts";
import type { VoteEntry, VoteLevel } from "../../src/dag/votes.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import type { Signed } from "../../src/membership/seal.ts";
import { claimsHeard, signedBy } from "../fuzz/dag-fixture.ts";
import { Bench, bytesOf, engineOf, type Event, type Message, type Seat } from "./dag-bench.ts";

/**
 * What every engine promises its loop (`src/consensus/engine.ts`), asked of the leaderless one. Places of a log, catch-up and
 * checkpoints are skipped: the ordered engine beside it has them, and its own tests.
 */

const TRACE = "trace";

/** Two lanes, a double spend across them, and a fork of the last validator. */
function bundlesOf(): readonly HeldBundle[] {
  const own = lane(0, 2, "own");
  const first = made({ creator: 1, payloads: [vertex("a", "coin"), vertex("b")] });
  const second = made({ creator: 2, second: own[0] ?? null, payloads: [vertex("c", "coin"), vertex("d", "other")] });
  return [...own, first, second, made({ creator: 3, payloads: [vertex("left", "other")] })];
}

function busyBench(change: (bench: Bench) => void = () => undefined): Bench {
  const bench = new Bench();
  change(bench);
  bench.start();
  bench.spread(...bundlesOf());
  return bench;
}

function decisionsOf(seat: Seat): readonly DagDecision[] {
  return seat.effects.flatMap((effect) => (effect.kind === "decide" ? effect.decisions : []));
}

function votesIn(effects: readonly Effect<Message>[]): readonly VoteEntry[] {
  return effects.flatMap((effect) => {
    const isSaid = effect.kind === "broadcast" || effect.kind === "send";
    return isSaid && effect.message.kind === "votes" ? effect.message.entries : [];
  });
}

/** Conflict sets and members of what a vote covers. */
function coveredBy({ bundle, except }: VoteEntry): readonly { readonly set: string; readonly member: string }[] {
  const held = bundlesOf().find(({ ref }) => ref.digest === bundle);
  if (held === undefined) throw new Error(`a vote for ${bundle}`);
  const vertices = held.bundle.payloads.flatMap((payload, index) => {
    if (except.includes(index)) return [];
    const keys = openEnvelope(payload)?.conflictKeys ?? [];
    return keys.map((key) => ({ set: key.toHex(), member: `${bundle}/${index}` }));
  });
  return [{ set: forkSetOf(held.ref), member: bundle }, ...vertices];
}

describe("an engine is a function of its events", () => {
  test("the same events give the same effects, byte for byte", () => {
    const bench = busyBench();
    bench.run(1_000);
    for (const seat of bench.all) {
      const again = engineOf(seat.self);
      for (const [at, event] of seat.events.entries())
        expect(bytesOf(again.step(event))).toBe(bytesOf(seat.steps[at] ?? []));
    }
    const [first] = bench.seats;
    expect(decisionsOf(first as Seat).filter(({ isSettled }) => isSettled)).toHaveLength(bundlesOf().length);
  });

  test("nor does a look from outside change anything: status, views, screens", () => {
    const bench = busyBench();
    bench.run(300);
    const seat = bench.seat(0);
    const again = engineOf(seat.self);
    const strange: AvalancheMessage = { kind: "query", poll: 1, lanes: [[noHash("a")]] };
    for (const [at, event] of seat.events.entries()) {
      expect(bytesOf(again.step(event))).toBe(bytesOf(seat.steps[at] ?? []));
      again.status();
      again.dag?.status();
      again.dag?.frontier();
      again.dag?.handOver();
      for (const { ref } of bundlesOf()) again.dag?.claimOf(ref.digest);
      again.screen(3 as ValidatorIndex, strange);
      again.screen(3 as ValidatorIndex, { kind: "votes", entries: [] });
    }
  });
});

describe("timers", () => {
  test("that are late, early, doubled or of another engine's change nothing", () => {
    const bench = busyBench();
    bench.run(600);
    const seat = bench.seat(1);
    const again = engineOf(seat.self);
    let spurious = 0;
    for (const [at, event] of seat.events.entries()) {
      expect(bytesOf(again.step(event))).toBe(bytesOf(seat.steps[at] ?? []));
      if (event.kind !== "timer") continue;
      // Once more at its own time, when it was set anew or not at all; and before its time.
      for (const nowMs of [event.nowMs - 1, event.nowMs]) {
        expect(again.step({ ...event, nowMs })).toEqual([]);
        spurious += 1;
      }
    }
    expect(spurious).toBeGreaterThan(3);
  });

  test("an engine with nothing open sets none of its own", () => {
    const bench = new Bench();
    bench.start();
    bench.run(3_000);
    const atMs = bench.schedule.nowMs;
    bench.run(60_000);
    expect(bench.seat(0).engine.dag?.status().pollsUnderWay).toBe(0);
    // Only the observer goes on asking what is final.
    expect(bench.seats.every((seat) => seat.events.every(({ nowMs }) => nowMs <= atMs))).toBe(true);
  });
});

describe("what is said is durable before", () => {
  test("each binding vote's row is written by then, and says at least as much", () => {
    const bench = busyBench();
    bench.run(5_000);
    let votes = 0;
    for (const seat of bench.seats) {
      const written = new Set<string>();
      for (const effect of seat.effects) {
        if (effect.kind === "persist") for (const { key } of effect.writes) written.add(key);
        for (const { bundle } of votesIn([effect])) {
          votes += 1;
          expect(written.has(`dag/vote/${bundle}`)).toBe(true);
        }
      }
    }
    expect(votes).toBeGreaterThan(30);
  });

  test("a process that stops after any effect says the same again when it comes back, and never another", () => {
    for (let crashAt = 1; crashAt < 90; crashAt += 4) {
      const bench = busyBench((it) => {
        it.crashAt = crashAt;
      });
      bench.run(1_000);
      const seat = bench.seat(0);
      if (!seat.isDown) break;
      const before = votesIn(performed(seat, crashAt));
      bench.restart(seat);
      const restartedAt = seat.steps.length - 1;
      const said = votesIn(seat.steps[restartedAt] ?? []);
      // What it said about what is open it says again at once.
      for (const { level, bundle } of before) {
        if (seat.settled.has(bundle)) continue;
        expect(said.some((entry) => entry.level === level && entry.bundle === bundle)).toBe(true);
      }
      bench.run(12_000);
      expect(isOneMemberOfEachSet(seat.effects, "accept")).toBe(true);
      expect(isOneMemberOfEachSet(seat.effects, "commit")).toBe(true);
    }
  });
});

/** The first effects of a life. */
function performed(seat: Seat, count: number): readonly Effect<Message>[] {
  return seat.effects.slice(0, count);
}

function isOneMemberOfEachSet(effects: readonly Effect<Message>[], level: VoteLevel): boolean {
  const members = new Map<string, string>();
  for (const entry of votesIn(effects)) {
    if (entry.level !== level) continue;
    for (const { set, member } of coveredBy(entry)) {
      if ((members.get(set) ?? member) !== member) return false;
      members.set(set, member);
    }
  }
  return members.size > 0 || effects.length < 200;
}

describe("before a signature is checked", () => {
  const seat = new Bench();
  seat.start();
  seat.spread(...bundlesOf());
  const { engine } = seat.seat(0);
  const screen = (message: AvalancheMessage): string => engine.screen(3 as ValidatorIndex, message).kind;
  const [held] = bundlesOf();
  const bundle: Hash = held?.ref.digest ?? noHash("0");

  test("no correct peer's words are refused", () => {
    expect(screen({ kind: "query", poll: 1, lanes: [[bundle]] })).toBe("accept");
    expect(screen({ kind: "votes", entries: [{ level: "accept", bundle: noHash("a"), except: [0, 7] }] })).toBe(
      "accept",
    );
  });

  test("what no correct peer says is", () => {
    expect(screen({ kind: "query", poll: 1, lanes: [[]] })).toBe("reject");
    expect(screen({ kind: "votes", entries: [] })).toBe("reject");
    expect(screen({ kind: "votes", entries: [{ level: "commit", bundle, except: [1, 1] }] })).toBe("reject");
    expect(screen({ kind: "votes", entries: [{ level: "commit", bundle, except: [1_024] }] })).toBe("reject");
    expect(screen({ kind: "answer", to: 0 as ValidatorIndex, poll: 1, heads: [], dissents: [] })).not.toBe("accept");
  });

  test("nor are votes that are said to be correct ones ever too large, for one message or for a report", () => {
    const many = Array.from({ length: 700 }, (_, at): VoteEntry => {
      const except = Array.from({ length: at % 7 === 0 ? 1_024 : at % 5 }, (_unused, index) => index);
      return { level: "accept", bundle: at.toString(16).padStart(64, "0") as Hash, except };
    });
    const messages = messagesOf(many);
    expect(messages.flatMap(({ entries }) => entries)).toEqual(many);
    for (const message of messages) {
      expect(screen(message)).toBe("accept");
      expect(encodeMessage(message).length).toBeLessThan(16_000);
    }
    expect(screen({ kind: "votes", entries: many.slice(0, 8) })).toBe("reject");
    expect(messagesOf([])).toEqual([]);
  });

  test("what is late or for another is passed over, and buys no signature check", () => {
    expect(screen({ kind: "answer", to: 1 as ValidatorIndex, poll: 1, heads: [0], dissents: [] })).toBe("ignore");
    expect(screen({ kind: "answer", to: 0 as ValidatorIndex, poll: 999, heads: [0], dissents: [] })).toBe("ignore");
    const listens = engineOf(null);
    expect(listens.screen(3 as ValidatorIndex, { kind: "query", poll: 1, lanes: [[bundle]] }).kind).toBe("ignore");
  });
});

describe("words that do not count", () => {
  test("a message that comes twice decides nothing more, and says nothing to all", () => {
    const bench = busyBench();
    bench.run(1_000);
    const seat = bench.seat(2);
    const again = engineOf(seat.self);
    let doubled = 0;
    for (const event of seat.events) {
      again.step(event);
      if (event.kind !== "message" || event.signed.message.kind === "query") continue;
      doubled += 1;
      expect(again.step(event).filter(({ kind }) => kind === "decide" || kind === "broadcast")).toEqual([]);
    }
    expect(doubled).toBeGreaterThan(20);
    expect(again.dag?.handOver().open.filter(({ held: { ref } }) => !seat.settled.has(ref.digest))).toEqual([]);
    expect(again.dag?.frontier()).toEqual(seat.engine.dag?.frontier() ?? []);
  });

  test("one answer counts once, however often it says that it dissents", () => {
    const bench = busyBench((it) => {
      it.passes = (from, to) => from !== 3 || to === it.seats[3];
    });
    const [own] = bundlesOf();
    const bundle = own?.ref.digest ?? noHash("0");
    const lie = setLie(
      bench,
      Array.from({ length: 50 }, () => ({ bundle, vertices: [0, 0, 0] })),
    );
    bench.run(1_500);
    expect(lie.told).toBeGreaterThan(3);
    const [decision] = decisionsOf(bench.seat(0)).filter((each) => each.bundle === bundle);
    expect(decision).toMatchObject({ place: "accepted", accepted: [0], isSettled: true });
  });

  test("strangers' claims, failed questions and connections are nothing", () => {
    const bench = busyBench();
    bench.passes = () => false;
    const seat = bench.seat(0);
    const claims: readonly DagClaim[] = bundlesOf().flatMap(({ ref }): DagClaim[] => [
      { bundle: ref.digest, state: "rejected", undecided: [], rejected: [] },
      { bundle: ref.digest, state: "accepted", undecided: [], rejected: [] },
    ]);
    for (const stranger of [7 as ValidatorIndex, 8 as ValidatorIndex, 9 as ValidatorIndex]) {
      const { epoch } = NETWORK.set;
      bench.step(seat, claimsHeard(stranger, { nowMs: bench.schedule.nowMs, epoch, claims, isLast: true }));
      bench.step(seat, { kind: "dag-sync-failed", ...bench.now(), from: stranger });
      bench.step(seat, { kind: "peer-connected", nowMs: bench.schedule.nowMs, peer: stranger });
    }
    bench.run(1_500);
    expect(decisionsOf(seat)).toEqual([]);
    const asked = seat.effects.flatMap((effect) => (effect.kind === "dag-sync" ? [effect.from] : []));
    expect(asked.every((peer) => NETWORK.set.has(peer))).toBe(true);
  });

  test("one liar's claims and votes decide nothing", () => {
    const bench = busyBench();
    bench.passes = () => false;
    const seat = bench.seat(0);
    const entries = bundlesOf().map(({ ref }): VoteEntry => ({ level: "commit", bundle: ref.digest, except: [] }));
    const liar = 3 as ValidatorIndex;
    for (let times = 0; times < 9; times++) {
      const signed = signedBy(liar, { kind: "votes", entries }) as Verified<Signed<Message>>;
      bench.step(seat, { kind: "message", ...bench.now(), signed });
      for (const state of ["accepted", "rejected"] as const) {
        const claims = bundlesOf().map(({ ref }) => ({ bundle: ref.digest, state, undecided: [], rejected: [] }));
        const { epoch } = NETWORK.set;
        bench.step(seat, claimsHeard(liar, { nowMs: bench.schedule.nowMs, epoch, claims, isLast: true }));
      }
    }
    expect(decisionsOf(seat)).toEqual([]);
  });
});

/** The last validator answers every poll of the first at once: it prefers all, but for these. */
function setLie(
  bench: Bench,
  dissents: readonly { readonly bundle: Hash; readonly vertices: readonly number[] }[],
): {
  told: number;
} {
  const lie = { told: 0 };
  const seat = bench.seat(0);
  const ask = seat.step.bind(seat);
  seat.step = (event: Event) => {
    const effects = ask(event);
    for (const effect of effects) {
      if (effect.kind !== "multicast" || effect.message.kind !== "query") continue;
      const { poll, lanes } = effect.message;
      const heads = lanes.map(() => 0);
      const answer = { kind: "answer", to: 0 as ValidatorIndex, poll, heads, dissents } as const;
      const signed = signedBy(3 as ValidatorIndex, answer) as Verified<Signed<Message>>;
      lie.told += 1;
      bench.schedule.after(1, () => bench.step(seat, { kind: "message", ...bench.now(), signed }));
    }
    return effects;
  };
  return lie;
}

describe("an observer", () => {
  test("never speaks, asks f + 1, and comes to the same", () => {
    const bench = busyBench();
    bench.run(5_000);
    const { observer } = bench;
    const spoken = observer.effects.filter(({ kind }) => kind !== TRACE && SPEECH.has(kind));
    expect(spoken).toEqual([]);
    expect(observer.rows.size).toBe(0);
    const fates = (seat: Seat): readonly string[] =>
      decisionsOf(seat)
        .map(({ bundle, accepted, rejected }) => `${bundle} +${accepted.join()} -${rejected.join()}`)
        .sort();
    expect(fates(observer)).toEqual(fates(bench.seat(0)));
  });
});

const SPEECH: ReadonlySet<string> = new Set(["broadcast", "send", "multicast", "relay", "report", "persist"]);

describe("no two members of one set", () => {
  test("are final anywhere, ancestors come first, and a decision is told once", () => {
    const bench = busyBench();
    bench.bundles(bench.seat(3), made({ creator: 3, payloads: [vertex("right", "coin")] }));
    bench.run(12_000);
    for (const seat of bench.seats) {
      const told = new Set<string>();
      const members = new Map<string, string>();
      for (const { bundle, place, accepted } of decisionsOf(seat)) {
        if (place !== null) expect(told.has(bundle)).toBe(false);
        if (place !== null) told.add(bundle);
        const held = bundlesOf().find(({ ref }) => ref.digest === bundle);
        const parents = held?.bundle.parents.filter((parent) => parent !== NETWORK.genesis) ?? [];
        const names = new Set(bundlesOf().flatMap(({ ref }) => (told.has(ref.digest) ? [ref.tip] : [])));
        if (place === "accepted") expect(parents.every((parent) => names.has(parent))).toBe(true);
        const except = [0, 1, 2].filter((index) => !accepted.includes(index));
        for (const { set, member } of held === undefined ? [] : coveredBy({ level: "commit", bundle, except })) {
          expect(members.get(set) ?? member).toBe(member);
          members.set(set, member);
        }
      }
      expect(members.size).toBeGreaterThan(0);
    }
  });
});

test("bundles that come again, or before their parents, make no difference", () => {
  const bench = busyBench();
  bench.run(1_000);
  const turned = new Bench();
  turned.start();
  for (const held of [...bundlesOf()].reverse()) turned.spread(held, held);
  turned.run(1_000);
  const places = (it: Bench): readonly string[] =>
    decisionsOf(it.seat(0))
      .flatMap(({ bundle, place }) => (place === null ? [] : [`${bundle} ${place}`]))
      .sort();
  expect(places(turned)).toEqual(places(bench));
  const [held] = bundlesOf();
  const again = held === undefined ? [] : [arrival(held)];
  const effects = turned.seat(0).engine.step({ kind: "dag-bundles", ...turned.now(), bundles: again });
  expect(effects.filter(({ kind }) => kind !== TRACE)).toEqual([]);
});
