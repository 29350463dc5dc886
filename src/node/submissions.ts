import { BUNDLE_PAYLOAD_BYTES_MAX, BUNDLE_VERTICES_MAX } from "../dag/limits.ts";
import type { HeldBundle } from "../dag/bundle.ts";
import type { Hash } from "../lib/hash.ts";
import type { FinalizedReceipt, Submission } from "./service.ts";

/** One call of `submit`: its payloads become vertices, possibly in several bundles. */
interface Pending {
  readonly payloads: readonly Uint8Array[];
  readonly acceptedAtMs: number;
  /** By payload; a payload that is issued again keeps the hash that its client was told. */
  readonly hashes: (Hash | undefined)[];
  readonly receipts: (FinalizedReceipt | undefined)[];
  durable: number;
  final: number;
  readonly accepted: PromiseWithResolvers<readonly Hash[]>;
  readonly finalized: PromiseWithResolvers<readonly FinalizedReceipt[]>;
}

/** Payloads of one submission that wait for a bundle. */
interface Segment {
  readonly pending: Pending;
  next: number;
  readonly end: number;
}

/** A stretch of one bundle that belongs to one submission. */
export interface Stretch {
  readonly pending: Pending;
  /** The first payload, by its number in the submission. */
  readonly first: number;
  /** And by its number in the bundle. */
  readonly offset: number;
  readonly count: number;
}

/** The content of one bundle, and whose it is. */
export interface Gathered {
  readonly payloads: readonly Uint8Array[];
  readonly bytes: number;
  readonly stretches: readonly Stretch[];
}

/** How long one stretch of vertices took from its submission to finality. */
export interface StretchFinality {
  readonly vertices: number;
  readonly finalityMs: number;
}

/** What clients gave this node and is in no bundle yet, in order. Bounded by who asks before (`submissionRefusal`). */
export class SubmissionQueue {
  readonly #segments: Segment[] = [];
  #vertices = 0;
  #bytes = 0;

  get vertices(): number {
    return this.#vertices;
  }

  /** Payload bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  submit(payloads: readonly Uint8Array[], nowMs: number): Submission {
    const pending: Pending = {
      payloads,
      acceptedAtMs: nowMs,
      hashes: payloads.map(() => undefined),
      receipts: payloads.map(() => undefined),
      durable: 0,
      final: 0,
      accepted: Promise.withResolvers(),
      finalized: Promise.withResolvers(),
    };
    // Whoever does not wait for one of the two must not crash the process when it fails.
    pending.accepted.promise.catch(() => undefined);
    pending.finalized.promise.catch(() => undefined);
    this.#segments.push(this.#counted({ pending, next: 0, end: payloads.length }));
    return { accepted: pending.accepted.promise, finalized: pending.finalized.promise };
  }

  /** Puts one vertex of a stretch in front again: its bundle came to nothing. */
  again({ pending, first, offset }: Stretch, index: number): void {
    const next = first + index - offset;
    this.#segments.unshift(this.#counted({ pending, next, end: next + 1 }));
  }

  /** What fits into one bundle; null where nothing waits. */
  gather(): Gathered | null {
    const payloads: Uint8Array[] = [];
    const stretches: Stretch[] = [];
    let bytes = 0;
    while (payloads.length < BUNDLE_VERTICES_MAX) {
      const segment = this.#segments[0];
      if (segment === undefined) break;
      const { pending, next: first } = segment;
      const offset = payloads.length;
      while (segment.next < segment.end && payloads.length < BUNDLE_VERTICES_MAX) {
        const payload = pending.payloads[segment.next];
        if (payload === undefined || bytes + payload.length > BUNDLE_PAYLOAD_BYTES_MAX) break;
        payloads.push(payload);
        bytes += payload.length;
        segment.next += 1;
      }
      if (payloads.length > offset) stretches.push({ pending, first, offset, count: payloads.length - offset });
      if (segment.next < segment.end) break;
      this.#segments.shift();
    }
    this.#vertices -= payloads.length;
    this.#bytes -= bytes;
    return payloads.length === 0 ? null : { payloads, bytes, stretches };
  }

  /** Whoever waits for what is in no bundle learns that it comes to nothing. */
  failAll(error: Error): void {
    for (const { pending } of this.#segments.splice(0)) failPending(pending, error);
    this.#vertices = 0;
    this.#bytes = 0;
  }

  #counted(segment: Segment): Segment {
    const { pending, next, end } = segment;
    this.#vertices += end - next;
    for (let at = next; at < end; at++) this.#bytes += pending.payloads[at]?.length ?? 0;
    return segment;
  }
}

/** The bundle of this stretch is durable. */
export function onStretchDurable({ pending, first, offset, count }: Stretch, { vertexIds }: HeldBundle): void {
  for (let index = 0; index < count; index++) {
    if (pending.hashes[first + index] !== undefined) continue;
    pending.hashes[first + index] = vertexIds[offset + index];
    pending.durable += 1;
  }
  if (pending.durable < pending.payloads.length) return;
  pending.accepted.resolve(pending.hashes.filter((hash) => hash !== undefined));
}

/** Vertices of this stretch, those of the bundle from `from` to before `to`, took their places from `firstPosition` on. */
export function onStretchFinal(
  { pending, first, offset, count }: Stretch,
  { vertexIds }: HeldBundle,
  taken: { readonly from: number; readonly to: number; readonly firstPosition: number; readonly nowMs: number },
): StretchFinality | null {
  const finalityMs = taken.nowMs - pending.acceptedAtMs;
  let vertices = 0;
  for (let index = Math.max(offset, taken.from); index < Math.min(offset + count, taken.to); index++) {
    const hash = vertexIds[index];
    const payload = first + index - offset;
    if (hash === undefined || pending.receipts[payload] !== undefined) continue;
    pending.receipts[payload] = { hash, sequence: taken.firstPosition + index - taken.from, finalityMs };
    vertices += 1;
  }
  pending.final += vertices;
  if (pending.final === pending.payloads.length) {
    pending.finalized.resolve(pending.receipts.filter((receipt) => receipt !== undefined));
  }
  return vertices === 0 ? null : { vertices, finalityMs };
}

/** One vertex of this stretch can never be final. */
export function onStretchRejected({ pending }: Stretch, error: Error): void {
  pending.finalized.reject(error);
}

/** The node stops or its disk failed. What is durable stays accepted. */
export function failStretch({ pending }: Stretch, error: Error): void {
  failPending(pending, error);
}

function failPending(pending: Pending, error: Error): void {
  pending.accepted.reject(error);
  pending.finalized.reject(error);
}
