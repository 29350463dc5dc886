import { encode } from "../codec/codec.ts";
import { type Bundle, bundleCodec, type HeldBundle, holdBundle } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import { BUNDLE_PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import { RESOLUTION_BOUNDS } from "../dag/resolution-state.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { Submission } from "./service.ts";
import {
  failStretch,
  onStretchDurable,
  onStretchFinal,
  type Stretch,
  type StretchFinality,
  SubmissionQueue,
} from "./submissions.ts";

/** Commands of one bundle: evidence takes about 11 kB with two hybrid signatures and their paths. */
const COMMANDS_PER_BUNDLE_MAX = 16;

/** Reports that wait, each of 1 MiB at most: more than these count of no validator at a time (`RESOLUTION_BOUNDS`). */
const REPORTS_WAITING_MAX: number = RESOLUTION_BOUNDS.openPerReporter;

/** Commands that wait: one of each kind against every validator of a large set. */
const COMMANDS_WAITING_MAX = 1_024;

export interface FormedBundle {
  readonly held: HeldBundle;
  readonly body: Uint8Array;
}

/**
 * What this node's clients gave it: gathers payloads into bundles of this node's lane, and tells each submission when its
 * vertices are durable and when they are final. In a leaderless network it carries commands alone (`DagLane` has the rest).
 *
 * Invariant: nonces are used once; a bundle is durable before anybody else sees it, so a crash cannot use one again.
 */
export class OwnLane {
  readonly #network: NetworkContext;
  readonly #self: ValidatorIndex;
  readonly #queue = new SubmissionQueue();
  /** Encoded membership commands that wait for a turn. */
  readonly #commands: Uint8Array[] = [];
  /** Encoded reports of open conflicts that wait for a turn. */
  readonly #reports: Uint8Array[] = [];
  readonly #stretches = new Map<Hash, readonly Stretch[]>();
  #tip: LaneTip;
  #forming = 0;

  constructor(network: NetworkContext, self: ValidatorIndex, tip: LaneTip) {
    this.#network = network;
    this.#self = self;
    this.#tip = tip;
  }

  /** Vertices that are taken in and not in a bundle yet. */
  get queued(): number {
    return this.#queue.vertices + this.#commands.length + this.#reports.length;
  }

  /** Payload bytes that are taken in and not in a bundle yet. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Queued, or in a bundle that is not durable yet: not counted by the pool of waiting bundles. */
  get pending(): number {
    return this.queued + this.#forming;
  }

  get tip(): LaneTip {
    return this.#tip;
  }

  submit(payloads: readonly Uint8Array[], nowMs: number): Submission {
    return this.#queue.submit(payloads, nowMs);
  }

  /** Queues a membership command; answers false where too many wait already. */
  command(encoded: Uint8Array): boolean {
    if (this.#commands.length >= COMMANDS_WAITING_MAX) return false;
    this.#commands.push(encoded);
    return true;
  }

  /** Queues a report of an open conflict; answers false where too many wait already. */
  report(encoded: Uint8Array): boolean {
    if (this.#reports.length >= REPORTS_WAITING_MAX) return false;
    this.#reports.push(encoded);
    return true;
  }

  /** The next bundle of what is queued; null where nothing is. */
  form(wallMs: number): FormedBundle | null {
    if (this.#commands.length > 0) return this.#formCommands(wallMs);
    if (this.#reports.length > 0) return this.#formReports(wallMs);
    const gathered = this.#queue.gather();
    return gathered === null ? null : this.#bundle("application", gathered.payloads, gathered.stretches, wallMs);
  }

  /** A bundle of what this validator says about the validator set; it goes before the clients' payloads. */
  #formCommands(wallMs: number): FormedBundle {
    const payloads = this.#commands.splice(0, COMMANDS_PER_BUNDLE_MAX);
    return this.#bundle("membership", payloads, [], wallMs);
  }

  /** Reports carry certificates: as many as fit. */
  #formReports(wallMs: number): FormedBundle {
    const payloads: Uint8Array[] = [];
    let bytes = 0;
    for (const report of this.#reports) {
      bytes += report.length;
      if (payloads.length === COMMANDS_PER_BUNDLE_MAX || bytes > BUNDLE_PAYLOAD_BYTES_MAX) break;
      payloads.push(report);
    }
    this.#reports.splice(0, payloads.length);
    return this.#bundle("resolution", payloads, [], wallMs);
  }

  #bundle(
    purpose: Bundle["purpose"],
    payloads: readonly Uint8Array[],
    stretches: readonly Stretch[],
    wallMs: number,
  ): FormedBundle {
    this.#forming += payloads.length;
    const formed = formBundle(this.#network, {
      creator: this.#self,
      term: this.#network.set.termOf(this.#self),
      purpose,
      firstNonce: (this.#tip.nonce + 1) as Nonce,
      timestampMs: wallMs,
      parents: [this.#tip.tip],
      payloads,
    });
    this.#tip = { nonce: (this.#tip.nonce + payloads.length) as Nonce, tip: formed.held.ref.tip };
    this.#stretches.set(formed.held.ref.digest, stretches);
    return formed;
  }

  /** The lane is executed further than this disk knew (see `start-gate.ts`): new vertices follow what is executed. */
  onExecuted(tip: LaneTip): void {
    if (tip.nonce > this.#tip.nonce) this.#tip = tip;
  }

  onDurable(held: HeldBundle): void {
    this.#forming -= held.ref.count;
    for (const stretch of this.#stretches.get(held.ref.digest) ?? []) onStretchDurable(stretch, held);
  }

  /** Answers how long each stretch of the bundle took from its submission to finality. */
  onFinalized(held: HeldBundle, firstPosition: number, nowMs: number): readonly StretchFinality[] {
    const stretches = this.#stretches.get(held.ref.digest) ?? [];
    this.#stretches.delete(held.ref.digest);
    const taken = { from: 0, to: held.ref.count, firstPosition, nowMs };
    return stretches.map((stretch) => onStretchFinal(stretch, held, taken)).filter((finality) => finality !== null);
  }

  /** The node stops or its disk failed: whoever waits learns it. What is durable stays accepted. */
  failAll(error: Error): void {
    this.#queue.failAll(error);
    for (const stretches of this.#stretches.values()) for (const stretch of stretches) failStretch(stretch, error);
    this.#stretches.clear();
  }
}

/** A bundle of this node's own, with its bytes. */
export function formBundle(network: NetworkContext, bundle: Bundle): FormedBundle {
  const bytes = bundle.payloads.reduce((sum, payload) => sum + payload.length, 0);
  const body = encode(bundleCodec, bundle, bytes + 8 * bundle.payloads.length + 256);
  return { held: holdBundle(network, bundle), body };
}
