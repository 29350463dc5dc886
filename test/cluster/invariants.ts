import type { CheckpointCertificate, CommittedSlot, EngineStatus } from "../../src/consensus/engine.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { statementOf } from "../../src/consensus/pbft/statements.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import { batchDigest } from "../../src/dag/batch.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Sequence, ValidatorIndex } from "../../src/membership/ids.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";

/** A broken promise of the protocol: the finding of a run. */
export class Violation extends Error {
  override readonly name = "Violation";
}

interface Witness {
  /** Digest by phase, view and sequence of all that this replica ever let out, across its crashes. */
  readonly said: Map<string, Hash>;
  readonly vertices: Set<Hash>;
  readonly tips: { nonce: number; tip: Hash }[];
  executed: number;
  /** The highest view that it asked for. */
  wanted: number;
  /** The view of its present life. */
  view: number;
}

/** What must hold after every event, seen from outside by one who remembers everything. Only correct replicas count. */
export class Invariants {
  readonly #ordered = new Map<Sequence, Hash>();
  readonly #checkpoints = new Map<Sequence, Hash>();
  readonly #witnesses: readonly Witness[];

  constructor(network: NetworkContext) {
    this.#witnesses = network.set.roster.map(() => ({
      said: new Map<string, Hash>(),
      vertices: new Set<Hash>(),
      tips: network.set.roster.map(() => ({ nonce: 0, tip: network.genesis })),
      executed: 0,
      wanted: 0,
      view: 0,
    }));
  }

  executed(replica: ValidatorIndex): number {
    return this.#of(replica).executed;
  }

  hasExecuted(replica: ValidatorIndex, vertex: Hash): boolean {
    return this.#of(replica).vertices.has(vertex);
  }

  onRestart(replica: ValidatorIndex): void {
    this.#of(replica).view = 0;
  }

  onSaid(replica: ValidatorIndex, message: PbftMessage): void {
    const witness = this.#of(replica);
    const { phase, view, sequence, digest } = statementOf(message);
    const key = `${phase}/${view}/${sequence}`;
    const before = witness.said.get(key);
    if (before !== undefined && before !== digest) {
      throw new Violation(`replica ${replica} said ${key} twice: ${before.slice(0, 8)}, then ${digest.slice(0, 8)}`);
    }
    witness.said.set(key, digest);
    if (message.kind === "view-change") witness.wanted = Math.max(witness.wanted, view);
    if ((phase === "commit" || phase === "prepare" || phase === "pre-prepare") && view < witness.wanted) {
      throw new Violation(`replica ${replica} said ${key} though it had asked for view ${witness.wanted}`);
    }
  }

  onStep(replica: ValidatorIndex, status: EngineStatus): void {
    const witness = this.#of(replica);
    if (status.view < witness.view)
      throw new Violation(`replica ${replica} went from view ${witness.view} to ${status.view}`);
    witness.view = status.view;
  }

  onExecuted(replica: ValidatorIndex, slot: CommittedSlot, executed: readonly HeldBundle[]): void {
    const witness = this.#of(replica);
    const { sequence } = slot;
    const digest = batchDigest(slot.batch);
    if (digest !== slot.certificate.digest)
      throw new Violation(`replica ${replica}: place ${sequence} is not what was certified`);
    if (sequence !== witness.executed + 1)
      throw new Violation(`replica ${replica} executed ${sequence} after ${witness.executed}`);
    witness.executed = sequence;
    const agreed = this.#ordered.get(sequence);
    if (agreed !== undefined && agreed !== digest) {
      throw new Violation(
        `place ${sequence} is ${digest.slice(0, 8)} at replica ${replica}, ${agreed.slice(0, 8)} elsewhere`,
      );
    }
    this.#ordered.set(sequence, digest);
    for (const { ref, vertexIds } of executed) {
      const lane = witness.tips[ref.creator];
      if (lane === undefined || ref.firstNonce !== lane.nonce + 1 || ref.previous !== lane.tip) {
        throw new Violation(`replica ${replica} executed lane ${ref.creator} out of order at ${sequence}`);
      }
      lane.nonce += ref.count;
      lane.tip = ref.tip;
      for (const id of vertexIds) {
        if (witness.vertices.has(id)) throw new Violation(`replica ${replica} executed vertex ${id.slice(0, 8)} twice`);
        witness.vertices.add(id);
      }
    }
  }

  onCheckpoint(replica: ValidatorIndex, { sequence, stateDigest }: CheckpointCertificate): void {
    const agreed = this.#checkpoints.get(sequence);
    if (agreed !== undefined && agreed !== stateDigest) {
      throw new Violation(`checkpoint ${sequence} of replica ${replica} has another state than elsewhere`);
    }
    this.#checkpoints.set(sequence, stateDigest);
  }

  #of(replica: ValidatorIndex): Witness {
    const witness = this.#witnesses[replica];
    if (witness === undefined) throw new Error(`no replica ${replica}`);
    return witness;
  }
}
