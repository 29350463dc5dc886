import { describe, expect, test } from "bun:test";
import { batchOf, commit, prepare, prePrepare, Solo } from "../../../test/cluster/solo.ts";
import { SMALL_WINDOWS } from "../../../test/cluster/pbft-host.ts";
import type { CheckpointCertificate } from "../engine.ts";
import type { Epoch, Sequence, ValidatorIndex } from "../../membership/ids.ts";
import { execute, executionStateDigest } from "../../replication/executor.ts";
import type { Verified, CommittedSlot } from "../engine.ts";

function synced(
  solo: Solo,
  from: number,
  slots: readonly CommittedSlot[],
  checkpoint: CheckpointCertificate | null = null,
): void {
  solo.feed({
    kind: "synced",
    ...solo.now(),
    from: from as ValidatorIndex,
    slots: slots as Verified<readonly CommittedSlot[]>,
    checkpoint: checkpoint as Verified<CheckpointCertificate> | null,
  });
}

/** Places 1 to `count`, each with one bundle of creator 0, proven by commits; the bundles are held. */
function history(solo: Solo, count: number): readonly CommittedSlot[] {
  const bundles = solo.lane(0, count);
  solo.hold(...bundles);
  return bundles.map((held, index) => solo.committed(0, index + 1, batchOf(held)));
}

describe("status messages (Castro's thesis, 5.2): whoever waits says where it stands", () => {
  test("a replica that is behind asks the peer that is furthest ahead, and executes what certificates prove", () => {
    const solo = new Solo();
    const slots = history(solo, 3);
    solo.status(0, { executed: 3 });
    expect(solo.of("sync")).toEqual([{ kind: "sync", from: 0 as ValidatorIndex, fromSequence: 1 as Sequence }]);
    synced(solo, 0, slots);
    expect(solo.engine.status().executed).toBe(3 as Sequence);
    expect(solo.timers.has("progress")).toBe(false);
  });

  test("a status that shows a peer ahead is not forgotten because this replica has just made progress", () => {
    const solo = new Solo();
    const [first, second] = solo.lane(0, 2);
    if (first === undefined || second === undefined) throw new Error("two bundles");
    solo.hold(first);
    synced(solo, 3, [solo.committed(0, 1, batchOf(first))]);
    solo.take();
    solo.status(0, { executed: 2 });
    solo.advance(5_000);
    expect(solo.of("sync").length).toBeGreaterThan(0);
    synced(solo, 0, [solo.committed(0, 2, batchOf(second))]);
    solo.hold(second);
    expect(solo.engine.status().executed).toBe(2 as Sequence);
    solo.advance(5_000);
    expect([...solo.timers]).toEqual([]);
  });

  test("a peer that claims much and delivers nothing does not keep a replica from asking the others", () => {
    const solo = new Solo();
    history(solo, 3);
    const asked = new Set<number>();
    for (let round = 0; round < 12; round++) {
      solo.status(3, { executed: 1_000_000 });
      solo.status(0, { executed: 3 });
      solo.advance(400);
      for (const { from } of solo.of("sync")) asked.add(from);
      solo.take();
    }
    expect([...asked].sort()).toEqual([0, 3]);
  });

  test("a replica whose peers deny what one of them claims becomes quiet again", () => {
    const solo = new Solo();
    solo.status(3, { executed: 1_000_000 });
    for (let round = 0; round < 4; round++) {
      if (solo.of("sync").length > 0) {
        solo.take();
        solo.feed({ kind: "sync-failed", nowMs: solo.nowMs, from: 3 as ValidatorIndex });
      }
      solo.advance(1_000);
    }
    expect([...solo.timers]).toEqual([]);
  });

  test("a committed place whose content is missing is asked for again until it comes", () => {
    const solo = new Solo();
    const held = solo.bundle(0);
    const batch = batchOf(held);
    const { digest } = prePrepare(0, 1, batch);
    for (const from of [0, 2, 3]) solo.deliver(from, commit(0, 1, digest));
    expect(solo.of("fetch-batches").length).toBe(1);
    solo.take();
    solo.advance(5_000);
    expect(solo.of("fetch-batches").length).toBeGreaterThan(1);
    solo.feed({ kind: "batches", ...solo.now(), batches: [batch] });
    solo.hold(held);
    expect(solo.engine.status().executed).toBe(1 as Sequence);
    solo.advance(5_000);
    expect([...solo.timers]).toEqual([]);
  });

  test("a peer that lacks votes gets the proposal, the prepare and the commit again", () => {
    const solo = new Solo();
    const held = solo.bundle(2);
    solo.hold(held);
    const proposal = prePrepare(0, 1, batchOf(held));
    solo.deliver(0, proposal);
    solo.deliver(2, prepare(0, 1, proposal.digest));
    solo.take();
    solo.status(3, {});
    expect(solo.of("send").map(({ to, message }) => [to, message.kind])).toEqual([
      [3 as ValidatorIndex, "prepare"],
      [3 as ValidatorIndex, "commit"],
    ]);
  });

  test("a waiting bundle is offered to the leader although other lanes make progress all the time", () => {
    const solo = new Solo();
    const censored = solo.bundle(3);
    solo.hold(censored);
    const lane = solo.lane(2, 12);
    solo.hold(...lane);
    for (const [index, held] of lane.entries()) {
      synced(solo, 0, [solo.committed(0, index + 1, batchOf(held))]);
      solo.advance(20);
    }
    expect(solo.of("offer-bundles").map(({ to, digests }) => [to, digests])).toEqual([
      [0 as ValidatorIndex, [censored.ref.digest]],
    ]);
  });
});

describe("a long way to catch up", () => {
  test("places below a proven checkpoint are let go once executed, so that memory does not grow with the lag", () => {
    const solo = new Solo({ windows: SMALL_WINDOWS });
    const slots = history(solo, 64);
    let state = solo.disk.execution;
    for (const { batch } of slots) {
      state = execute(solo.network, state, batch, solo.executionInput()).state;
    }
    const stateDigest = executionStateDigest(state);
    const statement = { phase: "checkpoint", view: 0, sequence: 64, digest: stateDigest } as const;
    const checkpoint = {
      sequence: 64 as Sequence,
      stateDigest,
      epoch: 0 as Epoch,
      proofs: [0, 2, 3].map((from) => solo.proof(from, statement)),
    };
    for (let at = 0; at < 60; at += 10) synced(solo, 0, slots.slice(at, at + 10), checkpoint);
    expect(solo.engine.status().executed).toBe(60 as Sequence);
    const open = slots.filter(({ certificate }) => solo.engine.batchOf(certificate.digest) !== undefined);
    expect(open.length).toBeLessThanOrEqual(10);
    synced(solo, 0, slots.slice(60), checkpoint);
    expect(solo.engine.status()).toMatchObject({ executed: 64, stable: 64 });
    expect(solo.said("checkpoint").length).toBeLessThanOrEqual(1);
  });

  test("what is handed over with a gap is not taken", () => {
    const solo = new Solo();
    const slots = history(solo, 3);
    synced(solo, 0, slots.slice(1));
    expect(solo.engine.status().executed).toBe(0 as Sequence);
  });
});
