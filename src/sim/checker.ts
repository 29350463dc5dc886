import type { CheckpointCertificate, CommittedSlot, Effect, EngineEvent, EngineStatus } from "../consensus/engine.ts";
import { batchDigest } from "../dag/batch.ts";
import type { Hash } from "../lib/hash.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { Epoch, Sequence } from "../membership/ids.ts";
import type { NodeMessage } from "../node/engines.ts";
import type { FinalizedItem } from "../node/service.ts";
import type { Frame } from "../node/wire.ts";
import { LIARS_MARK, textOf, Violation } from "./violation.ts";
import type { DurableRow, VoteRules } from "./vote-rules.ts";

/** What one correct validator did in all its lives, remembered from outside. */
interface Witness {
  readonly positions: Map<Hash, number>;
  position: number;
  /** What lies between these positions it took over as a state, and never finalized one by one. */
  skipped: readonly { readonly after: number; readonly upTo: number }[];
  finalizing: number;
  /** The time of the last vertex that it finalized, in milliseconds since 1970. */
  timestampMs: number;
}

/**
 * What must hold after every event, seen by one who remembers everything. Only correct validators count: a lying one is
 * free to do anything to itself.
 */
export class Checker {
  readonly #ordered = new Map<Sequence, Hash>();
  readonly #states = new Map<Sequence, Hash>();
  readonly #checkpoints = new Map<Sequence, Hash>();
  readonly #order = new Map<number, Hash>();
  readonly #places = new Map<Hash, number>();
  readonly #witnesses = new Map<number, Witness>();
  /** Hashes of payloads that clients gave to correct validators. */
  readonly #payloads = new Set<string>();
  readonly #isCorrect: (place: number) => boolean;
  readonly #rules: VoteRules;
  readonly #isMistaken: (place: number) => boolean;
  #checks = 0;

  /** @param isMistaken whether a node's states are wrong for now, and it does not know */
  constructor(isCorrect: (place: number) => boolean, rules: VoteRules, isMistaken: (place: number) => boolean) {
    this.#isCorrect = isCorrect;
    this.#rules = rules;
    this.#isMistaken = isMistaken;
  }

  /** Checks that were made. */
  get checks(): number {
    return this.#checks + this.#rules.checks;
  }

  /** The length of the agreed order of vertices. */
  get ordered(): number {
    return this.#order.size;
  }

  position(place: number): number {
    return this.#of(place).position;
  }

  /** Final one by one, or in a state that was taken over. */
  hasFinal(place: number, vertex: Hash): boolean {
    const { positions, skipped } = this.#of(place);
    if (positions.has(vertex)) return true;
    const position = this.#places.get(vertex);
    return position !== undefined && skipped.some(({ after, upTo }) => position > after && position <= upTo);
  }

  /** The node's state is another one from now on: it goes on behind a position, further on or back. */
  onReplaced(place: number, to: number): void {
    const witness = this.#of(place);
    if (to > witness.position) witness.skipped = [...witness.skipped, { after: witness.position, upTo: to }];
    for (const [vertex, position] of witness.positions) if (position > to) witness.positions.delete(vertex);
    // What it finalizes again has the times that it had.
    if (to < witness.position) witness.timestampMs = 0;
    witness.position = to;
  }

  /** It took a state over, which is to be that of all. */
  onTaken(place: number, sequence: Sequence, stateDigest: Hash): void {
    this.#checks += 1;
    const agreed = this.#states.get(sequence);
    // Nobody's engine is told of an epoch's last batch.
    if (agreed === undefined || agreed === stateDigest) return;
    throw new Violation(
      "state-equality",
      `node ${place} took over another state after place ${sequence} than others have`,
    );
  }

  onSubmitted(payload: Uint8Array): void {
    this.#payloads.add(textOf(payload));
  }

  /** A life begins: what was not durable may be done again. */
  onStart(place: number, executed: number): void {
    this.#of(place).finalizing = executed;
    this.#rules.onStart(place, executed);
  }

  /** The disk is gone, and with it the node's memory of what it finalized; what it said stays said. */
  onDiskLost(place: number): void {
    const witness = this.#of(place);
    witness.positions.clear();
    witness.position = 0;
    witness.timestampMs = 0;
    this.#rules.onDiskLost(place);
  }

  /** Another engine takes over: its views count from 0 again. */
  onEngine(place: number, epoch: Epoch): void {
    this.#rules.onEngine(place, epoch);
  }

  onStep(place: number, event: EngineEvent<NodeMessage>, status: EngineStatus): void {
    this.#rules.onStep(place, event, status);
    if (event.kind !== "executed" || this.#isMistaken(place)) return;
    const agreed = this.#states.get(event.sequence);
    if (agreed !== undefined && agreed !== event.stateDigest) {
      throw new Violation(
        "state-equality",
        `node ${place} has another state after place ${event.sequence} than others`,
      );
    }
    this.#states.set(event.sequence, event.stateDigest);
  }

  onEffect(place: number, effect: Effect<NodeMessage>): void {
    this.#rules.onEffect(place, effect);
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
    if (frame.kind === "sealed") this.#rules.onSent(place, frame, row);
  }

  /** What the node told its users, in order. */
  onFinal(place: number, items: readonly FinalizedItem[]): void {
    const witness = this.#of(place);
    for (const { sequence, purpose, hash, payload, timestampMs } of items) {
      this.#checks += 1;
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
      this.#places.set(hash, sequence);
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
    this.#checks += 1;
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

  #checkValidity(place: number, payload: Uint8Array): void {
    // Liars may order what they like of their own; it begins with their mark.
    if (payload[0] === LIARS_MARK || this.#payloads.has(textOf(payload))) return;
    throw new Violation("validity", `node ${place} finalized a payload that nobody submitted`);
  }

  #of(place: number): Witness {
    const known = this.#witnesses.get(place);
    if (known !== undefined) return known;
    const witness: Witness = { positions: new Map(), position: 0, skipped: [], finalizing: 0, timestampMs: 0 };
    this.#witnesses.set(place, witness);
    return witness;
  }
}

function short(digest: Hash): string {
  return digest.slice(0, 8);
}
