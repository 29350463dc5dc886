import { decode, encode } from "../../codec/codec.ts";
import type { NodeId } from "../../crypto/identity.ts";
import type { Epoch, Sequence } from "../../membership/ids.ts";
import type { MembershipState } from "../../membership/membership-state.ts";
import type { NetworkContext, Validator } from "../../membership/validator-set.ts";
import { chunkHash, type Manifest, SnapshotFault } from "../../replication/snapshot.ts";
import type { Replica } from "../../replication/replica.ts";
import type { Log, LoopObserver } from "../observer.ts";
import type { Clock, Database, Transport, Verifier } from "../ports.ts";
import type { Replication } from "../replicated/replication.ts";
import { SnapshotStore } from "../replicated/snapshot-store.ts";
import { pieceAnswerCodec, type Question, questionCodec, snapshotAnswerCodec, type SnapshotOffer } from "../wire.ts";
import { OfferFault, OfferUnproved, type VerifiedState, verifyOffer } from "./verified-state.ts";

/** Head, or a chunk of up to 1 MiB. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Between two attempts, in milliseconds: meanwhile the log is taken, where somebody has it. */
export const TAKING_PAUSE_MS = 5_000;

export interface StateTakerPorts {
  readonly epochs: { readonly network: NetworkContext; readonly membership: MembershipState };
  readonly database: Database;
  readonly transport: Pick<Transport, "request">;
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly log: Log;
  /** An application to which nothing happened: a state is tried before it is taken. */
  readonly newReplica: () => Replica;
  readonly learnKeys: (validators: readonly Validator[]) => void;
  /** Who can be asked now; validators first. */
  readonly reachable: () => readonly NodeId[];
  readonly onRejected: (peer: NodeId, reason: string) => void;
  /** So many batches behind, the state is taken instead of the log; 0 for never while somebody has the log. */
  readonly gap: number;
}

/**
 * A state that a quorum certified is on this disk as a snapshot, and nothing of it is in effect: the node is to start again
 * on it (`recover`).
 */
export class StateTaken extends Error {
  override readonly name = "StateTaken";
  readonly state: VerifiedState;

  constructor(state: VerifiedState) {
    super(`the state after batch ${state.execution.sequence} was taken over from peers: the node starts again on it`);
    this.state = state;
  }
}

/** An offer that holds, with those who can deliver its chunks. */
interface Source {
  readonly state: VerifiedState;
  readonly peers: readonly NodeId[];
}

/** Takes the state over from peers where the log is too long a way, or is not to be had any more. */
export class StateTaker {
  readonly #ports: StateTakerPorts;
  readonly #snapshots: SnapshotStore;
  #furthest = 0 as Sequence;
  /** Who does not have the log behind this place any more. */
  #gone: { after: Sequence; peers: Set<NodeId> } = { after: 0 as Sequence, peers: new Set() };
  #nextAtMs = Number.NEGATIVE_INFINITY;
  #isBusy = false;

  constructor(ports: StateTakerPorts) {
    this.#ports = ports;
    this.#snapshots = new SnapshotStore(ports.database);
  }

  /** Whether an attempt is under way: the log can wait for how it ends. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** A peer says how far it is; a hint. */
  onPeerStatus(executed: Sequence): void {
    if (executed > this.#furthest) this.#furthest = executed;
  }

  /**
   * A peer says that its log begins further on than after this place. Answers whether that is so: f + 1 say it, or all who
   * can be asked. A single liar could make the node start again and again.
   */
  onLogGone(peer: NodeId, after: Sequence): boolean {
    if (this.#gone.after !== after) this.#gone = { after, peers: new Set() };
    this.#gone.peers.add(peer);
    return this.#isLogGone(after);
  }

  /**
   * The state of peers that are far ahead, once it is whole on the disk and its root is the certified one; null where
   * nobody is, or none could be had.
   */
  async maybeTake(executed: Sequence): Promise<StateTaken | null> {
    const { gap, clock } = this.#ports;
    const isFar = gap > 0 && this.#furthest - executed >= gap;
    const isGone = this.#isLogGone(executed);
    if (this.#isBusy || !(isFar || isGone) || clock.monotonicMs() < this.#nextAtMs) return null;
    this.#isBusy = true;
    try {
      // What a liar said of itself is forgotten with the attempt.
      const above = (executed + (isGone ? 0 : Math.floor(gap / 2))) as Sequence;
      this.#furthest = executed;
      for (const source of await this.#sources(above)) {
        if (await this.#takeFrom(source)) return new StateTaken(source.state);
      }
      return null;
    } finally {
      this.#isBusy = false;
      this.#nextAtMs = clock.monotonicMs() + TAKING_PAUSE_MS;
    }
  }

  #isLogGone(after: Sequence): boolean {
    const { reachable, epochs } = this.#ports;
    if (this.#gone.after !== after || this.#gone.peers.size === 0) return false;
    if (this.#gone.peers.size >= epochs.network.set.honestMinority) return true;
    return reachable().every((peer) => this.#gone.peers.has(peer));
  }

  /** What peers offer and a quorum certified, the newest first. */
  async #sources(above: Sequence): Promise<readonly Source[]> {
    const offers = await Promise.all(
      this.#ports.reachable().map(async (peer) => ({ peer, offer: await this.#askOffer(peer, above) })),
    );
    const sources = new Map<string, { state: VerifiedState; peers: NodeId[] }>();
    for (const { peer, offer } of offers) {
      const state = offer === null ? null : await this.#verified(peer, offer, above);
      if (state === null) continue;
      // Correct nodes come to the same chunks; who has others is asked by itself.
      const key = `${state.execution.sequence}/${keyOf(state.manifest)}`;
      const known = sources.get(key);
      if (known === undefined) sources.set(key, { state, peers: [peer] });
      else known.peers.push(peer);
    }
    // A manifest is no more than its sender's word until all chunks are there: what a correct node says too comes first.
    const { honestMinority } = this.#ports.epochs.network.set;
    const isBacked = ({ peers }: Source): number => Number(peers.length >= honestMinority);
    return [...sources.values()].sort(
      (left, right) =>
        isBacked(right) - isBacked(left) || right.state.execution.sequence - left.state.execution.sequence,
    );
  }

  async #verified(peer: NodeId, offer: SnapshotOffer, above: Sequence): Promise<VerifiedState | null> {
    const { epochs, verifier, learnKeys, onRejected, log } = this.#ports;
    const { network, membership } = epochs;
    const askEpochEnd = async (epoch: Epoch): Promise<Uint8Array | null> =>
      await this.#askPiece(peer, { kind: "epoch-end", epoch });
    try {
      return await verifyOffer(offer, above, { network, membership, verifier, learnKeys, askEpochEnd });
    } catch (error) {
      if (error instanceof OfferFault) onRejected(peer, `invalid-snapshot: ${error.message}`);
      else if (error instanceof OfferUnproved) log("info", "state.unproved", { peer, why: error.message });
      else throw error;
      return null;
    }
  }

  /** Whether the state is whole on the disk, and its chunks lead to the certified root. */
  async #takeFrom({ state, peers }: Source): Promise<boolean> {
    const { newReplica, log } = this.#ports;
    const { manifest, execution, membership } = state;
    const hashes = [...manifest.sessionChunks, ...manifest.stateChunks];
    log("info", "state.taking", { batch: execution.sequence, chunks: hashes.length, peers: peers.length });
    for (const [index, hash] of hashes.entries()) {
      const chunk = await this.#chunk(peers, { kind: "chunk", sequence: execution.sequence, number: index + 1 }, hash);
      if (chunk === null) return false;
      await this.#snapshots.writeChunk(execution.sequence, index + 1, chunk);
    }
    try {
      newReplica().restore(manifest, await this.#snapshots.chunks(manifest));
    } catch (error) {
      if (!(error instanceof SnapshotFault)) throw error;
      // Not the peers' fault for sure: another version of the application comes to another root.
      log("error", "state.not-borne-out", { batch: execution.sequence, peers: peers.length, why: error.message });
      return false;
    }
    await this.#snapshots.writeHead({ execution, membership, manifest });
    log("info", "state.taken", { batch: execution.sequence, vertex: execution.position });
    return true;
  }

  /** From whoever delivers the bytes of this hash. */
  async #chunk(
    peers: readonly NodeId[],
    question: Question & { readonly kind: "chunk" },
    hash: Manifest["root"],
  ): Promise<Uint8Array | null> {
    // Spread, so that nobody carries a whole state alone.
    for (let turn = 0; turn < peers.length; turn++) {
      const peer = peers[(question.number + turn) % peers.length];
      const chunk = peer === undefined ? null : await this.#askPiece(peer, question);
      if (chunk !== null && chunkHash(chunk) === hash) return chunk;
      if (chunk !== null && peer !== undefined) this.#ports.onRejected(peer, "invalid-snapshot: another chunk");
    }
    return null;
  }

  async #askOffer(peer: NodeId, above: Sequence): Promise<SnapshotOffer | null> {
    const answer = await this.#ask(peer, { kind: "snapshot", above });
    return answer === null ? null : this.#decoded(peer, () => decode(snapshotAnswerCodec, answer).offer);
  }

  async #askPiece(peer: NodeId, question: Question): Promise<Uint8Array | null> {
    const answer = await this.#ask(peer, question);
    return answer === null ? null : this.#decoded(peer, () => decode(pieceAnswerCodec, answer).piece);
  }

  async #ask(peer: NodeId, question: Question): Promise<Uint8Array | null> {
    try {
      const body = encode(questionCodec, question);
      return await this.#ports.transport.request(peer, body, { timeoutMs: ANSWER_TIMEOUT_MS });
    } catch {
      // The transport counts and logs it; others are asked as well.
      return null;
    }
  }

  #decoded<T>(peer: NodeId, read: () => T | null): T | null {
    try {
      return read();
    } catch (error) {
      this.#ports.onRejected(peer, `malformed-answer: ${String(error)}`);
      return null;
    }
  }
}

/** What of a node a `StateTaker` is made of. */
export type TakingPorts = Omit<StateTakerPorts, "log" | "newReplica" | "reachable" | "onRejected"> & {
  readonly replication: Replication | null;
  readonly observer: Pick<LoopObserver, "log" | "onRejected">;
};

/** Null where the order drives no application: then the log is the state. */
export function openTaker(ports: TakingPorts, reachable: () => readonly NodeId[]): StateTaker | null {
  const { replication, observer } = ports;
  if (replication === null) return null;
  return new StateTaker({
    ...ports,
    log: observer.log,
    newReplica: () => replication.newReplica(),
    reachable,
    onRejected: (peer, reason) => observer.onRejected(peer, reason),
  });
}

function keyOf({ position, sessionChunks, stateChunks }: Manifest): string {
  return [position, ...sessionChunks, "/", ...stateChunks].join();
}
