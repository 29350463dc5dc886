import { encode } from "../codec/codec.ts";
import { type Bundle, bundleCodec, type HeldBundle, holdBundle } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import { BUNDLE_PAYLOAD_BYTES_MAX, BUNDLE_VERTICES_MAX } from "../dag/limits.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { FinalizedReceipt, Submission } from "./service.ts";

/** One call of `submit`: its payloads become consecutive vertices, possibly in several bundles. */
interface Pending {
  readonly payloads: readonly Uint8Array[];
  readonly acceptedAtMs: number;
  readonly hashes: Hash[];
  readonly receipts: FinalizedReceipt[];
  taken: number;
  durable: number;
  readonly accepted: PromiseWithResolvers<readonly Hash[]>;
  readonly finalized: PromiseWithResolvers<readonly FinalizedReceipt[]>;
}

/** A stretch of one bundle that belongs to one submission. */
interface Stretch {
  readonly pending: Pending;
  readonly offset: number;
  readonly count: number;
}

/** Commands of one bundle: evidence takes about 11 kB with two hybrid signatures and their paths. */
const COMMANDS_PER_BUNDLE_MAX = 16;

/** Commands that wait: one of each kind against every validator of a large set. */
const COMMANDS_WAITING_MAX = 1_024;

export interface FormedBundle {
  readonly held: HeldBundle;
  readonly body: Uint8Array;
}

/**
 * What this node's clients gave it: gathers payloads into bundles of this node's lane, and tells each submission when its
 * vertices are durable and when they are final.
 *
 * Invariant: nonces are used once; a bundle is durable before anybody else sees it, so a crash cannot use one again.
 */
export class OwnLane {
  readonly #network: NetworkContext;
  readonly #self: ValidatorIndex;
  readonly #queue: Pending[] = [];
  /** Encoded membership commands that wait for a turn. */
  readonly #commands: Uint8Array[] = [];
  readonly #stretches = new Map<Hash, readonly Stretch[]>();
  #tip: LaneTip;
  #queuedVertices = 0;
  #forming = 0;
  #queuedBytes = 0;

  constructor(network: NetworkContext, self: ValidatorIndex, tip: LaneTip) {
    this.#network = network;
    this.#self = self;
    this.#tip = tip;
  }

  /** Vertices that are taken in and not in a bundle yet. */
  get queued(): number {
    return this.#queuedVertices + this.#commands.length;
  }

  /** Payload bytes that are taken in and not in a bundle yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Queued, or in a bundle that is not durable yet: not counted by the pool of waiting bundles. */
  get pending(): number {
    return this.queued + this.#forming;
  }

  get tip(): LaneTip {
    return this.#tip;
  }

  submit(payloads: readonly Uint8Array[], nowMs: number): Submission {
    const pending: Pending = {
      payloads,
      acceptedAtMs: nowMs,
      hashes: [],
      receipts: [],
      taken: 0,
      durable: 0,
      accepted: Promise.withResolvers(),
      finalized: Promise.withResolvers(),
    };
    // Whoever does not wait for one of the two must not crash the process when it fails.
    pending.accepted.promise.catch(() => undefined);
    pending.finalized.promise.catch(() => undefined);
    this.#queue.push(pending);
    this.#queuedVertices += payloads.length;
    this.#queuedBytes += payloads.reduce((sum, payload) => sum + payload.length, 0);
    return { accepted: pending.accepted.promise, finalized: pending.finalized.promise };
  }

  /** Queues a membership command; answers false where too many wait already. */
  command(encoded: Uint8Array): boolean {
    if (this.#commands.length >= COMMANDS_WAITING_MAX) return false;
    this.#commands.push(encoded);
    return true;
  }

  /** The next bundle of what is queued; null where nothing is. */
  form(wallMs: number): FormedBundle | null {
    if (this.#commands.length > 0) return this.#formCommands(wallMs);
    const payloads: Uint8Array[] = [];
    const stretches: Stretch[] = [];
    let bytes = 0;
    while (payloads.length < BUNDLE_VERTICES_MAX) {
      const pending = this.#queue[0];
      if (pending === undefined) break;
      const offset = payloads.length;
      while (pending.taken < pending.payloads.length && payloads.length < BUNDLE_VERTICES_MAX) {
        const payload = pending.payloads[pending.taken];
        if (payload === undefined || bytes + payload.length > BUNDLE_PAYLOAD_BYTES_MAX) break;
        payloads.push(payload);
        bytes += payload.length;
        pending.taken += 1;
      }
      if (payloads.length > offset) stretches.push({ pending, offset, count: payloads.length - offset });
      if (pending.taken < pending.payloads.length) break;
      this.#queue.shift();
    }
    if (payloads.length === 0) return null;
    this.#queuedVertices -= payloads.length;
    this.#queuedBytes -= bytes;
    return this.#bundle("application", payloads, stretches, wallMs);
  }

  /** A bundle of what this validator says about the validator set; it goes before the clients' payloads. */
  #formCommands(wallMs: number): FormedBundle {
    const payloads = this.#commands.splice(0, COMMANDS_PER_BUNDLE_MAX);
    return this.#bundle("membership", payloads, [], wallMs);
  }

  #bundle(
    purpose: Bundle["purpose"],
    payloads: readonly Uint8Array[],
    stretches: readonly Stretch[],
    wallMs: number,
  ): FormedBundle {
    this.#forming += payloads.length;
    const bundle: Bundle = {
      creator: this.#self,
      term: this.#network.set.termOf(this.#self),
      purpose,
      firstNonce: (this.#tip.nonce + 1) as Nonce,
      timestampMs: wallMs,
      parents: [this.#tip.tip],
      payloads,
    };
    const held = holdBundle(this.#network, bundle);
    this.#tip = { nonce: (this.#tip.nonce + payloads.length) as Nonce, tip: held.ref.tip };
    this.#stretches.set(held.ref.digest, stretches);
    const bytes = payloads.reduce((sum, payload) => sum + payload.length, 0);
    return { held, body: encode(bundleCodec, bundle, bytes + 8 * payloads.length + 128) };
  }

  /** The lane is executed further than this disk knew (see `start-gate.ts`): new vertices follow what is executed. */
  onExecuted(tip: LaneTip): void {
    if (tip.nonce > this.#tip.nonce) this.#tip = tip;
  }

  onDurable(held: HeldBundle): void {
    this.#forming -= held.ref.count;
    for (const { pending, offset, count } of this.#stretches.get(held.ref.digest) ?? []) {
      for (let index = 0; index < count; index++) {
        const id = held.vertexIds[offset + index];
        if (id !== undefined) pending.hashes.push(id);
      }
      pending.durable += count;
      if (pending.durable === pending.payloads.length) pending.accepted.resolve(pending.hashes);
    }
  }

  /** Answers how long each stretch of the bundle took from its submission to finality. */
  onFinalized(
    held: HeldBundle,
    firstPosition: number,
    nowMs: number,
  ): readonly { readonly vertices: number; readonly finalityMs: number }[] {
    const stretches = this.#stretches.get(held.ref.digest) ?? [];
    for (const { pending, offset, count } of stretches) {
      const finalityMs = nowMs - pending.acceptedAtMs;
      for (let index = 0; index < count; index++) {
        const hash = held.vertexIds[offset + index];
        if (hash !== undefined) pending.receipts.push({ hash, sequence: firstPosition + offset + index, finalityMs });
      }
      if (pending.receipts.length === pending.payloads.length) pending.finalized.resolve(pending.receipts);
    }
    this.#stretches.delete(held.ref.digest);
    return stretches.map(({ pending, count }) => ({ vertices: count, finalityMs: nowMs - pending.acceptedAtMs }));
  }

  /** The node stops or its disk failed: whoever waits learns it. What is durable stays accepted. */
  failAll(error: Error): void {
    for (const pending of this.#queue.splice(0)) {
      pending.accepted.reject(error);
      pending.finalized.reject(error);
    }
    for (const stretches of this.#stretches.values()) {
      for (const { pending } of stretches) {
        pending.accepted.reject(error);
        pending.finalized.reject(error);
      }
    }
    this.#stretches.clear();
    this.#queuedVertices = 0;
    this.#queuedBytes = 0;
  }
}
