import { decode } from "../codec/codec.ts";
import type { CheckpointCertificate, CommittedSlot, Effect, EngineEvent, EngineStatus } from "../consensus/engine.ts";
import { messageCodec } from "../consensus/pbft/codec.ts";
import { rowOfVote, voteOfRow } from "../consensus/pbft/durable.ts";
import type { PbftMessage, ViewChange } from "../consensus/pbft/messages.ts";
import { statementOf } from "../consensus/pbft/statements.ts";
import { batchDigest } from "../dag/batch.ts";
import type { Hash } from "../lib/hash.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { Epoch, Sequence } from "../membership/ids.ts";
import type { FinalizedItem } from "../node/service.ts";
import type { Frame } from "../node/wire.ts";

/** A broken promise of the protocol: the finding of a run. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly invariant: Invariant;

  constructor(invariant: Invariant, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}

/** What every event is checked against; `docs/fault-matrix.md` says which fault attacks which. */
export const INVARIANTS = [
  "agreement",
  "validity",
  "exactly-once",
  "no-contradiction",
  "durable-before-visible",
  "prefix-consistency",
  "state-equality",
  "lock-respected",
  "view-monotone",
  "watermarks",
  "monotone-time",
  "no-false-blame",
  "no-failure",
  "liveness",
] as const;
export type Invariant = (typeof INVARIANTS)[number];

/** What one correct validator did in all its lives, remembered from outside. */
interface Witness {
  /** Digest by epoch, phase, view and sequence of every vote that left. */
  readonly said: Map<string, Hash>;
  /** The highest view in which it said commit, by sequence. */
  readonly committed: Map<Sequence, { readonly view: number; readonly digest: Hash }>;
  readonly positions: Map<Hash, number>;
  position: number;
  /** The highest view that it asked for. */
  wanted: number;
  /** The highest view that it asked for in an earlier turn. */
  promised: number;
  /** What it committed to in the turn that spoke last. */
  readonly turnCommits: { readonly sequence: Sequence; readonly view: number; readonly digest: Hash }[];
  /** The signature of the turn that spoke last. */
  turn: string;
  view: number;
  finalizing: number;
  executed: number;
  /** h, as its engine said last. */
  stable: number;
  /** The time of the last vertex that it finalized, in milliseconds since 1970. */
  timestampMs: number;
  /** The last one in which it spoke. */
  epoch: Epoch;
}

/** Looks at a row of the node's disk as it is now, without delay. */
export type DurableRow = (epoch: Epoch, key: string) => Uint8Array | undefined;

/**
 * What must hold after every event, seen by one who remembers everything. Only correct validators count: a lying one is
 * free to do anything to itself.
 */
export class Checker {
  readonly #ordered = new Map<Sequence, Hash>();
  readonly #states = new Map<Sequence, Hash>();
  readonly #checkpoints = new Map<Sequence, Hash>();
  readonly #order = new Map<number, Hash>();
  readonly #witnesses = new Map<number, Witness>();
  /** Hashes of payloads that clients gave to correct validators. */
  readonly #payloads = new Set<string>();
  readonly #isCorrect: (place: number) => boolean;
  /** How far above its stable checkpoint a replica votes. */
  readonly #receiveWindow: number;
  /** Checks that were made. */
  checks = 0;

  constructor(isCorrect: (place: number) => boolean, receiveWindow: number) {
    this.#isCorrect = isCorrect;
    this.#receiveWindow = receiveWindow;
  }

  /** The length of the agreed order of vertices. */
  get ordered(): number {
    return this.#order.size;
  }

  position(place: number): number {
    return this.#of(place).position;
  }

  hasFinal(place: number, vertex: Hash): boolean {
    return this.#of(place).positions.has(vertex);
  }

  onSubmitted(payload: Uint8Array): void {
    this.#payloads.add(textOf(payload));
  }

  /** A life begins: what was not durable may be done again. */
  onStart(place: number, executed: number): void {
    const witness = this.#of(place);
    witness.view = 0;
    witness.finalizing = executed;
    witness.executed = executed;
  }

  /** The disk is gone, and with it the node's memory of what it finalized; what it said stays said. */
  onDiskLost(place: number): void {
    const witness = this.#of(place);
    witness.positions.clear();
    witness.position = 0;
    witness.timestampMs = 0;
  }

  /** Another engine takes over: its views count from 0 again. */
  onEngine(place: number): void {
    this.#of(place).view = 0;
  }

  onStep(place: number, event: EngineEvent<PbftMessage>, status: EngineStatus): void {
    const witness = this.#of(place);
    this.checks += 1;
    if (status.view < witness.view)
      throw new Violation(
        "view-monotone",
        `node ${place} went from view ${witness.view} to ${status.view} by ${event.kind}`,
      );
    witness.view = status.view;
    witness.stable = status.stable;
    if (event.kind !== "executed") return;
    const agreed = this.#states.get(event.sequence);
    if (agreed !== undefined && agreed !== event.stateDigest) {
      throw new Violation(
        "state-equality",
        `node ${place} has another state after place ${event.sequence} than others`,
      );
    }
    this.#states.set(event.sequence, event.stateDigest);
    witness.executed = event.sequence;
  }

  onEffect(place: number, effect: Effect<PbftMessage>): void {
    switch (effect.kind) {
      case "finalize":
        return this.#onFinalize(place, effect.slot);
      case "checkpoint":
        return this.#onCheckpoint(place, effect.certificate);
      case "evidence":
        return this.#onEvidence(place, effect.equivocation);
      default:
        return;
    }
  }

  /** What left a correct node; a frame to all is looked at once. */
  onSent(place: number, frame: Frame, row: DurableRow): void {
    if (frame.kind !== "sealed") return;
    const witness = this.#of(place);
    if (frame.epoch < witness.epoch) {
      const after = `after it spoke in epoch ${witness.epoch}`;
      throw new Violation("no-contradiction", `node ${place} speaks in epoch ${frame.epoch} ${after}`);
    }
    if (frame.epoch > witness.epoch) {
      witness.epoch = frame.epoch;
      witness.wanted = 0;
      witness.promised = 0;
      witness.committed.clear();
      witness.turnCommits.length = 0;
    }
    const turn = textOf(frame.seal.signature.mlDsa);
    // What one turn says it says at once: its frames to all go before those to some.
    if (turn !== witness.turn) endTurn(witness);
    witness.turn = turn;
    for (const item of frame.items) {
      if (item.kind !== "body") continue;
      this.#onSaid(place, decode(messageCodec, item.body), row);
    }
  }

  /** What the node told its users, in order. */
  onFinal(place: number, items: readonly FinalizedItem[]): void {
    const witness = this.#of(place);
    for (const { sequence, purpose, hash, payload, timestampMs } of items) {
      this.checks += 1;
      if (sequence !== witness.position + 1) {
        throw new Violation(
          "prefix-consistency",
          `node ${place} finalized place ${sequence} after ${witness.position}`,
        );
      }
      witness.position = sequence;
      if (timestampMs < witness.timestampMs) {
        const backMs = witness.timestampMs - timestampMs;
        throw new Violation("monotone-time", `at node ${place} time goes back by ${backMs} ms at place ${sequence}`);
      }
      witness.timestampMs = timestampMs;
      if (witness.positions.has(hash)) throw new Violation("exactly-once", `node ${place} finalized ${hash} twice`);
      witness.positions.set(hash, sequence);
      const agreed = this.#order.get(sequence);
      if (agreed !== undefined && agreed !== hash) {
        throw new Violation("agreement", `place ${sequence} is ${hash} at node ${place}, ${agreed} elsewhere`);
      }
      this.#order.set(sequence, hash);
      if (purpose === "application") this.#checkValidity(place, payload);
    }
  }

  /** A validator lost its place by what was ordered. */
  onRemoved(place: number, removed: number, why: string): void {
    if (this.#isCorrect(removed))
      throw new Violation("no-false-blame", `node ${place} removes correct node ${removed}: ${why}`);
  }

  /** A peer was said to do what no correct node does. */
  onBlamed(place: number, blamed: number, reason: string): void {
    if (this.#isCorrect(blamed))
      throw new Violation("no-false-blame", `node ${place} blames node ${blamed}: ${reason}`);
  }

  #onFinalize(place: number, slot: CommittedSlot): void {
    const witness = this.#of(place);
    const { sequence } = slot;
    const digest = batchDigest(slot.batch);
    this.checks += 1;
    if (digest !== slot.certificate.digest)
      throw new Violation("validity", `node ${place}: place ${sequence} is not what was certified`);
    if (sequence !== witness.finalizing + 1)
      throw new Violation("prefix-consistency", `node ${place} orders ${sequence} after ${witness.finalizing}`);
    witness.finalizing = sequence;
    const agreed = this.#ordered.get(sequence);
    if (agreed !== undefined && agreed !== digest) {
      throw new Violation(
        "agreement",
        `place ${sequence} is ${short(digest)} at node ${place}, ${short(agreed)} elsewhere`,
      );
    }
    this.#ordered.set(sequence, digest);
  }

  #onCheckpoint(place: number, { sequence, stateDigest }: CheckpointCertificate): void {
    const agreed = this.#checkpoints.get(sequence);
    if (agreed !== undefined && agreed !== stateDigest) {
      throw new Violation("state-equality", `checkpoint ${sequence} of node ${place} has another state than elsewhere`);
    }
    this.#checkpoints.set(sequence, stateDigest);
  }

  #onEvidence(place: number, { first }: Equivocation): void {
    const { signer } = first.proof.seal;
    if (this.#isCorrect(signer)) {
      throw new Violation("no-false-blame", `node ${place} has evidence against correct validator ${signer}`);
    }
  }

  #onSaid(place: number, message: PbftMessage, row: DurableRow): void {
    const witness = this.#of(place);
    const { phase, view, sequence, digest } = statementOf(message);
    const key = `${witness.epoch}/${phase}/${view}/${sequence}`;
    this.checks += 1;
    const before = witness.said.get(key);
    if (before !== undefined && before !== digest) {
      throw new Violation(
        "no-contradiction",
        `node ${place} said ${key} twice: ${short(before)}, then ${short(digest)}`,
      );
    }
    witness.said.set(key, digest);
    if (message.kind === "view-change") {
      // What it said before it may say again, to a peer that missed it.
      if (before === undefined) this.#checkLocks(place, witness, message);
      witness.wanted = Math.max(witness.wanted, view);
    }
    if ((phase === "commit" || phase === "prepare" || phase === "pre-prepare") && view < witness.promised) {
      throw new Violation(
        "no-contradiction",
        `node ${place} said ${key} though it had asked for view ${witness.promised}`,
      );
    }
    if ((phase === "commit" || phase === "prepare") && sequence > witness.stable + this.#receiveWindow) {
      throw new Violation("watermarks", `node ${place} said ${key}, its stable checkpoint is ${witness.stable}`);
    }
    if (before === undefined) this.#checkDurable(place, message, row);
    if (message.kind === "commit") {
      witness.turnCommits.push({ sequence: message.sequence, view, digest });
    }
  }

  /** §4.4: a view change carries a prepared certificate for every place that this replica committed to above its h. */
  #checkLocks(place: number, witness: Witness, message: ViewChange): void {
    const low = message.stable?.sequence ?? 0;
    const carried = new Map(message.prepared.map((certificate) => [certificate.sequence, certificate]));
    for (const [sequence, { view, digest }] of witness.committed) {
      // A turn's frames to one may leave before its frame to all: what was locked in that view already came after.
      if (sequence <= low || view >= message.view) continue;
      const certificate = carried.get(sequence);
      if (certificate === undefined || certificate.view < view) {
        throw new Violation(
          "lock-respected",
          `node ${place} asks for view ${message.view} without its lock on ${sequence}`,
        );
      }
      if (certificate.view === view && certificate.digest !== digest) {
        throw new Violation(
          "lock-respected",
          `node ${place} asks for view ${message.view} with another lock on ${sequence}`,
        );
      }
    }
  }

  /** What a vote rests on is on the disk at the moment at which the vote leaves. */
  #checkDurable(place: number, message: PbftMessage, row: DurableRow): void {
    if (message.kind !== "prepare" && message.kind !== "commit" && message.kind !== "pre-prepare") return;
    const found = row(this.#of(place).epoch, rowOfVote(message.kind, message.sequence));
    // What a stable checkpoint covers is forgotten on purpose.
    if (found === undefined && this.#of(place).executed >= message.sequence) return;
    if (found !== undefined) {
      const { view, digest } = voteOfRow(message.kind, found);
      if (view > message.view || (view === message.view && digest === message.digest)) return;
    }
    throw new Violation(
      "durable-before-visible",
      `node ${place} said ${message.kind} for ${message.sequence} before that was on its disk`,
    );
  }

  #checkValidity(place: number, payload: Uint8Array): void {
    // Liars may order what they like of their own; it begins with their mark.
    if (payload[0] === LIARS_MARK || this.#payloads.has(textOf(payload))) return;
    throw new Violation("validity", `node ${place} finalized a payload that nobody submitted`);
  }

  #of(place: number): Witness {
    const known = this.#witnesses.get(place);
    if (known !== undefined) return known;
    const witness: Witness = {
      said: new Map(),
      committed: new Map(),
      positions: new Map(),
      position: 0,
      wanted: 0,
      promised: 0,
      turnCommits: [],
      turn: "",
      view: 0,
      finalizing: 0,
      executed: 0,
      stable: 0,
      timestampMs: 0,
      epoch: 0 as Epoch,
    };
    this.#witnesses.set(place, witness);
    return witness;
  }
}

/** From here on what the turn before said counts as said earlier. */
function endTurn(witness: Witness): void {
  witness.promised = witness.wanted;
  for (const { sequence, view, digest } of witness.turnCommits.splice(0)) {
    const known = witness.committed.get(sequence);
    if (known === undefined || known.view <= view) witness.committed.set(sequence, { view, digest });
  }
}

/** The first byte of what a Byzantine validator puts into its own lane. */
export const LIARS_MARK = 0xfb;

function textOf(payload: Uint8Array): string {
  return String.fromCharCode(...payload.subarray(0, 24));
}

function short(digest: Hash): string {
  return digest.slice(0, 8);
}
