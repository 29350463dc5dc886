import { decode, encode } from "../../codec/codec.ts";
import type { NodeId } from "../../crypto/identity.ts";
import type { EpochLink } from "../../light/epochs.ts";
import type { Epoch, Sequence } from "../../membership/ids.ts";
import type { MembershipState } from "../../membership/membership-state.ts";
import type { NetworkContext, Validator } from "../../membership/validator-set.ts";
import { type Manifest, SnapshotFault } from "../../replication/snapshot.ts";
import type { Replica } from "../../replication/replica.ts";
import type { Log, LoopObserver } from "../observer.ts";
import type { Clock, Database, Transport, Verifier } from "../ports.ts";
import type { Replication, SnapshotPlace } from "../replicated/replication.ts";
import { SnapshotStore } from "../replicated/snapshot-store.ts";
import { pieceAnswerCodec, type Question, questionCodec, snapshotAnswerCodec, type SnapshotOffer } from "../wire.ts";
import { ChunkDownload } from "./chunk-download.ts";
import { OfferFault, OfferUnproved, type VerifiedState, verifyOffer } from "./verified-state.ts";

/** Head, or a chunk of up to 1 MiB. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Between two attempts, in milliseconds: meanwhile the log is taken, where somebody has it. */
export const TAKING_PAUSE_MS = 5_000;

/** For the chunks of a manifest that f + 1 offer: then the next attempt goes on, with those who have it then. */
const BACKED_MS = 600_000;

/** For those of one that may be a liar's alone, which would take as long as it pleases. */
const UNBACKED_MS = 60_000;

/** So long the log waits for a state that f + 1 offer; then both are taken. */
const LOG_WAITS_MS = 60_000;

/** Manifests remembered for having led to nothing: it concerns the order of attempts only. */
const FAILED_MAX = 64;

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
  /** Keeps this node's own snapshot of that batch away meanwhile; null where it has come there by itself. */
  readonly reserve: (sequence: Sequence) => SnapshotPlace | null;
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
  readonly key: string;
  readonly state: VerifiedState;
  readonly peers: NodeId[];
}

/** Takes the state over from peers where the log is too long a way, or is not to be had any more. */
export class StateTaker {
  readonly #ports: StateTakerPorts;
  readonly #snapshots: SnapshotStore;
  /** How far validators say that they are. */
  readonly #claims = new Map<NodeId, Sequence>();
  /** Who does not have the log behind this place any more. */
  #gone: { after: Sequence; peers: Set<NodeId> } = { after: 0 as Sequence, peers: new Set() };
  /** Ends of epochs; those of the present one and later ones. */
  readonly #proved = new Map<Epoch, EpochLink>();
  /** How often manifests led to nothing. */
  readonly #failed = new Map<string, number>();
  /** Of which some chunks may be on the disk. */
  #unfinished: Sequence | null = null;
  #nextAtMs = Number.NEGATIVE_INFINITY;
  #isBusy = false;
  #logWaitsUntilMs = Number.NEGATIVE_INFINITY;

  constructor(ports: StateTakerPorts) {
    this.#ports = ports;
    this.#snapshots = new SnapshotStore(ports.database);
  }

  /** Whether the log can wait for how an attempt ends. */
  get holdsLog(): boolean {
    return this.#isBusy && this.#ports.clock.monotonicMs() < this.#logWaitsUntilMs;
  }

  /** A peer says how far it is; a hint. */
  onPeerStatus(peer: NodeId, executed: Sequence): void {
    this.#claims.set(peer, executed);
    const { set } = this.#ports.epochs.network;
    if (this.#claims.size <= set.size) return;
    for (const known of this.#claims.keys()) if (set.indexOf(known) === null) this.#claims.delete(known);
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
    if (this.#isBusy || clock.monotonicMs() < this.#nextAtMs) return null;
    const isGone = this.#isLogGone(executed);
    if (!isGone && (gap === 0 || this.#furthest() - executed < gap)) return null;
    this.#isBusy = true;
    try {
      const above = (executed + (isGone ? 0 : Math.floor(gap / 2))) as Sequence;
      for (const source of await this.#sources(above)) {
        if (await this.#takeFrom(source)) return new StateTaken(source.state);
        this.#onFailed(source.key);
      }
      return null;
    } finally {
      this.#isBusy = false;
      this.#logWaitsUntilMs = Number.NEGATIVE_INFINITY;
      this.#nextAtMs = clock.monotonicMs() + TAKING_PAUSE_MS;
    }
  }

  #isLogGone(after: Sequence): boolean {
    const { reachable, epochs } = this.#ports;
    if (this.#gone.after !== after || this.#gone.peers.size === 0) return false;
    if (this.#gone.peers.size >= epochs.network.set.honestMinority) return true;
    return reachable().every((peer) => this.#gone.peers.has(peer));
  }

  /** How far one correct validator is at least: what f liars say of themselves does not count, unless nobody else is there. */
  #furthest(): Sequence {
    const { set } = this.#ports.epochs.network;
    const reachable = this.#ports.reachable().filter((peer) => set.indexOf(peer) !== null);
    const claims = reachable.flatMap((peer) => this.#claims.get(peer) ?? []).sort((left, right) => right - left);
    return claims[Math.min(set.honestMinority, reachable.length) - 1] ?? (0 as Sequence);
  }

  #onFailed(key: string): void {
    this.#failed.set(key, (this.#failed.get(key) ?? 0) + 1);
    if (this.#failed.size <= FAILED_MAX) return;
    const [oldest] = this.#failed.keys();
    if (oldest !== undefined) this.#failed.delete(oldest);
  }

  /** What peers offer and a quorum certified, the newest first. */
  async #sources(above: Sequence): Promise<readonly Source[]> {
    const offers = await Promise.all(
      this.#ports.reachable().map(async (peer) => ({ peer, offer: await this.#askOffer(peer, above) })),
    );
    const sources = new Map<string, Source>();
    for (const { peer, offer } of offers) {
      const state = offer === null ? null : await this.#verified(peer, offer, above);
      if (state === null) continue;
      // Correct nodes come to the same chunks; who has others is asked by itself.
      const key = `${state.execution.sequence}/${keyOf(state.manifest)}`;
      const known = sources.get(key);
      if (known === undefined) sources.set(key, { key, state, peers: [peer] });
      else known.peers.push(peer);
    }
    // A manifest is no more than its sender's word until all chunks are there: what a correct node says too comes first.
    const failures = ({ key }: Source): number => this.#failed.get(key) ?? 0;
    return [...sources.values()].sort(
      (left, right) =>
        Number(this.#isBacked(right)) - Number(this.#isBacked(left)) ||
        failures(left) - failures(right) ||
        right.state.execution.sequence - left.state.execution.sequence,
    );
  }

  /** Whether a correct node is among those who offer it. */
  #isBacked({ peers }: Source): boolean {
    return peers.length >= this.#ports.epochs.network.set.honestMinority;
  }

  async #verified(peer: NodeId, offer: SnapshotOffer, above: Sequence): Promise<VerifiedState | null> {
    const { epochs, verifier, learnKeys, onRejected, log } = this.#ports;
    const { network, membership } = epochs;
    const proved = this.#proved;
    for (const epoch of proved.keys()) if (epoch < membership.epoch) proved.delete(epoch);
    const askEpochEnd = async (epoch: Epoch): Promise<Uint8Array | null> =>
      await this.#askPiece(peer, { kind: "epoch-end", epoch });
    try {
      return await verifyOffer(offer, above, { network, membership, verifier, learnKeys, askEpochEnd, proved });
    } catch (error) {
      if (error instanceof OfferFault) onRejected(peer, `invalid-snapshot: ${error.message}`);
      else if (error instanceof OfferUnproved) log("info", "state.unproved", { peer, why: error.message });
      else throw error;
      return null;
    }
  }

  /** Whether the state is whole on the disk, and its chunks lead to the certified root. */
  async #takeFrom(source: Source): Promise<boolean> {
    const { sequence } = source.state.execution;
    const place = this.#ports.reserve(sequence);
    if (place === null) return false;
    try {
      if (this.#unfinished !== null && this.#unfinished !== sequence)
        await this.#snapshots.forgetUnfinished(this.#unfinished);
      this.#unfinished = sequence;
      const isWhole = await this.#download(source, place);
      // Its rows are of no use any more where this node came there by itself; else the next attempt finds them.
      if (place.isOvertaken()) await this.#snapshots.forgetUnfinished(sequence);
      if (!isWhole || place.isOvertaken()) return false;
      return await this.#isBorneOut(source);
    } finally {
      place.release();
    }
  }

  async #download(source: Source, { isOvertaken }: SnapshotPlace): Promise<boolean> {
    const { clock, log, onRejected } = this.#ports;
    const { state, peers } = source;
    const { manifest, execution } = state;
    const chunks = manifest.sessionChunks.length + manifest.stateChunks.length;
    log("info", "state.taking", { batch: execution.sequence, chunks, peers: peers.length });
    const isBacked = this.#isBacked(source);
    this.#logWaitsUntilMs = isBacked ? clock.monotonicMs() + LOG_WAITS_MS : Number.NEGATIVE_INFINITY;
    const download = new ChunkDownload({
      snapshots: this.#snapshots,
      peers,
      ask: (peer, chunk) => this.#askPiece(peer, { kind: "chunk", ...chunk }),
      onWrongChunk: (peer) => onRejected(peer, "invalid-snapshot: another chunk"),
      monotonicMs: () => clock.monotonicMs(),
      isOvertaken,
    });
    return await download.run(manifest, isBacked ? BACKED_MS : UNBACKED_MS);
  }

  async #isBorneOut({ state: { execution, membership, manifest }, peers }: Source): Promise<boolean> {
    const { newReplica, log } = this.#ports;
    const { sequence, position } = execution;
    try {
      newReplica().restore(manifest, await this.#snapshots.chunks(manifest));
    } catch (error) {
      if (!(error instanceof SnapshotFault)) throw error;
      // Not the peers' fault for sure: another version of the application comes to another root.
      log("error", "state.not-borne-out", { batch: sequence, peers: peers.length, why: error.message });
      await this.#snapshots.forgetUnfinished(sequence);
      return false;
    }
    await this.#snapshots.writeHead({ execution, membership, manifest });
    log("info", "state.taken", { batch: sequence, vertex: position });
    return true;
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
export type TakingPorts = Omit<StateTakerPorts, "log" | "newReplica" | "reserve" | "reachable" | "onRejected"> & {
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
    reserve: (sequence) => replication.reserve(sequence),
    reachable,
    onRejected: (peer, reason) => observer.onRejected(peer, reason),
  });
}

function keyOf({ position, sessionChunks, stateChunks }: Manifest): string {
  return [position, ...sessionChunks, "/", ...stateChunks].join();
}
