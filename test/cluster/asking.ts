import { decode, encode } from "../../src/codec/codec.ts";
import {
  type CheckpointCertificate,
  checkpointCertificateOf,
  type CommittedSlot,
  commitCertificateOf,
} from "../../src/consensus/engine.ts";
import { checkpointCertificateCodec, committedSlotCodec } from "../../src/consensus/log-codec.ts";
import { type Batch, batchDigest } from "../../src/dag/batch.ts";
import type { Hash } from "../../src/lib/hash.ts";
import { hasDistinctSigners, obligationsOf } from "../../src/membership/certificate.ts";
import type { Sequence, ValidatorIndex } from "../../src/membership/ids.ts";
import { proofCodec } from "../../src/membership/seal.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";
import type { Host } from "./host.ts";
import { minted } from "./packet.ts";
import { allHold } from "./signing.ts";

export type Question =
  | { readonly kind: "bundles"; readonly digests: readonly Hash[] }
  | { readonly kind: "batches"; readonly digests: readonly Hash[] }
  | { readonly kind: "committed"; readonly from: Sequence };

export type Answer =
  | { readonly kind: "bundles"; readonly bundles: readonly { readonly body: Uint8Array; readonly proof: Uint8Array }[] }
  | { readonly kind: "batches"; readonly batches: readonly Batch[] }
  | { readonly kind: "committed"; readonly slots: readonly Uint8Array[]; readonly checkpoint: Uint8Array | null };

/** Committed places in one answer. */
const COMMITTED_MAX = 16;

/** What an honest node answers from its disk. */
export function answerTo(host: Host, question: Question): Answer {
  const { disk } = host;
  switch (question.kind) {
    case "bundles": {
      const found = question.digests.map((digest) => disk.bundles.get(digest)).filter((stored) => stored !== undefined);
      return { kind: "bundles", bundles: found.map(({ body, proof }) => ({ body, proof: encode(proofCodec, proof) })) };
    }
    case "batches": {
      const found = question.digests
        .map((digest) => host.engine?.batchOf(digest))
        .filter((batch) => batch !== undefined);
      return { kind: "batches", batches: found };
    }
    case "committed": {
      const slots: Uint8Array[] = [];
      for (let sequence = question.from; slots.length < COMMITTED_MAX; sequence++) {
        const slot = disk.log.get(sequence);
        if (slot === undefined) break;
        slots.push(slot);
      }
      return { kind: "committed", slots, checkpoint: disk.rows.get("stable") ?? null };
    }
  }
}

/** Looks on the own disk, then at those named, then at everybody else. */
export function fetchBundles(host: Host, digests: readonly Hash[], from: readonly ValidatorIndex[]): void {
  const { cluster, life } = host;
  const wanted = new Set(digests.filter((digest) => !host.asked.has(digest)));
  if (wanted.size === 0) return;
  const claimed = [...wanted];
  for (const digest of claimed) host.asked.add(digest);
  const release = (): void => {
    for (const digest of claimed) host.asked.delete(digest);
  };
  cluster.schedule.after(1, () => {
    if (host.life !== life) return;
    const local = claimed.map((digest) => host.disk.bundles.get(digest)).filter((stored) => stored !== undefined);
    for (const { held } of local) wanted.delete(held.ref.digest);
    if (local.length > 0) host.takeBundles(local);
    askInTurn(
      host,
      candidates(host, from),
      () => ({ kind: "bundles", digests: [...wanted] }),
      (answer) => {
        if (answer.kind !== "bundles") return false;
        const opened = answer.bundles
          .map(({ body, proof }) => host.openBundle(body, proof))
          .filter((stored) => stored !== null);
        const found = opened.filter(({ held }) => wanted.delete(held.ref.digest));
        if (found.length > 0) host.takeBundles(found);
        return wanted.size === 0;
      },
      release,
      wanted.size === 0,
    );
  });
}

export function fetchBatches(host: Host, digests: readonly Hash[], from: readonly ValidatorIndex[]): void {
  const wanted = new Set(digests.filter((digest) => !host.asked.has(digest)));
  if (wanted.size === 0) return;
  const claimed = [...wanted];
  for (const digest of claimed) host.asked.add(digest);
  const release = (): void => {
    for (const digest of claimed) host.asked.delete(digest);
  };
  askInTurn(
    host,
    candidates(host, from),
    () => ({ kind: "batches", digests: [...wanted] }),
    (answer) => {
      if (answer.kind !== "batches") return false;
      const found = answer.batches.filter((batch) => wanted.delete(batchDigest(batch)));
      if (found.length > 0) host.feed({ kind: "batches", ...host.now(), batches: found });
      return wanted.size === 0;
    },
    release,
    false,
  );
}

/** Asks one peer for committed places; what it hands over is believed for its certificates only. */
export function sync(host: Host, from: ValidatorIndex, fromSequence: Sequence): void {
  const { cluster, life } = host;
  cluster.ask(host, from, { kind: "committed", from: fromSequence }, (answer) => {
    if (host.life !== life) return;
    const opened = answer?.kind === "committed" ? openCommitted(cluster.network, answer, fromSequence) : null;
    if (opened === null) return host.feed({ kind: "sync-failed", nowMs: cluster.schedule.nowMs, from });
    const { slots, checkpoint } = opened;
    host.feed({
      kind: "synced",
      ...host.now(),
      from,
      slots: minted(slots),
      checkpoint: checkpoint === null ? null : minted(checkpoint),
    });
  });
}

/** Null where anything about the answer is wrong. */
function openCommitted(
  network: NetworkContext,
  answer: Extract<Answer, { kind: "committed" }>,
  from: Sequence,
): { readonly slots: readonly CommittedSlot[]; readonly checkpoint: CheckpointCertificate | null } | null {
  const { quorum } = network.set;
  const slots = answer.slots.map((bytes) => decode(committedSlotCodec, bytes));
  const checkpoint = answer.checkpoint === null ? null : decode(checkpointCertificateCodec, answer.checkpoint);
  for (const [index, slot] of slots.entries()) {
    const { certificate } = slot;
    if (slot.sequence !== from + index || batchDigest(slot.batch) !== certificate.digest) return null;
    if (!hasDistinctSigners(network.set, certificate.proofs, quorum)) return null;
    if (!allHold(network, obligationsOf(network, commitCertificateOf(slot)))) return null;
  }
  if (checkpoint !== null) {
    if (!hasDistinctSigners(network.set, checkpoint.proofs, quorum)) return null;
    if (!allHold(network, obligationsOf(network, checkpointCertificateOf(checkpoint)))) return null;
  }
  return { slots, checkpoint };
}

function candidates(host: Host, from: readonly ValidatorIndex[]): readonly ValidatorIndex[] {
  const others = host.cluster.others(host.self);
  const first = from.filter((peer) => peer !== host.self);
  return [...new Set([...first, ...others])];
}

function askInTurn(
  host: Host,
  peers: readonly ValidatorIndex[],
  question: () => Question,
  isDone: (answer: Answer) => boolean,
  release: () => void,
  done: boolean,
): void {
  const { life } = host;
  const [peer, ...rest] = peers;
  if (done || peer === undefined) return release();
  host.cluster.ask(host, peer, question(), (answer) => {
    if (host.life !== life) return;
    const finished = answer !== null && isDone(answer);
    askInTurn(host, rest, question, isDone, release, finished);
  });
}
