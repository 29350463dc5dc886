import { decode, encode } from "../codec/codec.ts";
import type { CheckpointCertificate, CommittedSlot } from "../consensus/engine.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import type { NodeId } from "../crypto/identity.ts";
import { batchDigest } from "../dag/batch.ts";
import type { Hash } from "../lib/hash.ts";
import { HISTORY_LINKS_MAX } from "../light/ordered-proof.ts";
import {
  type StateCertificate,
  stateCertificateCodec,
  type StatePhase,
  stateOf,
  statementAbout,
} from "../light/state-certificate.ts";
import type { Epoch, Sequence, ValidatorIndex } from "../membership/ids.ts";
import { earlierSetsOf, type MembershipState, membershipStateCodec } from "../membership/membership-state.ts";
import { type Proof, sealedBytes } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import {
  executedDigest,
  executedLeaf,
  type Execution,
  type ExecutionState,
  executionStateCodec,
} from "../replication/executor.ts";
import type { AcceptanceProofs } from "./acceptance-proofs.ts";
import { searchCertificate } from "./certificate-search.ts";
import type { Clock, Database, Signer, Transport, Verifier } from "./ports.ts";
import { type EpochEnd, ProofLedger } from "./proof-ledger.ts";
import { SealVerification } from "./verification.ts";
import { questionCodec, stateAnswerCodec } from "./wire.ts";
import { WriteBatch } from "./write-batch.ts";

/** States that are remembered: several checkpoints' worth, so that one is there when its certificate comes. */
const STATES_MAX = 256;

const ANSWER_TIMEOUT_MS = 4_000;

/** Between two attempts to prove an epoch's end: whose word is missing may be away for long. */
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 60_000;

/**
 * Between two collections on request. Each costs every validator a signature, and anybody who may ask the API can want one:
 * under load the next checkpoint is there first.
 */
const COLLECT_INTERVAL_MS = 1_000;

/** Peers execute a batch within milliseconds of each other; these are waits between asking them again. */
const SOON_MS: readonly number[] = [50, 150, 400, 900];

export interface StateProofsPorts {
  readonly epochs: { readonly network: NetworkContext; readonly self: ValidatorIndex | null };
  readonly database: Database;
  readonly transport: Pick<Transport, "peers" | "request">;
  readonly signer: Signer;
  readonly verifier: Verifier;
  readonly clock: Clock;
  /** What says whether vertices are accepted where nobody orders them; null, and by default, everything is ordered. */
  readonly acceptance?: AcceptanceProofs | null;
  /** The disk failed, or it holds what was not written there: called once, and then nothing more is done. */
  readonly onFailure: (error: unknown) => void;
}

/** A state with the validators who can say that they came to it. */
interface KnownState {
  /** Of the last batch that led to it. */
  readonly epoch: Epoch;
  readonly set: ValidatorSet;
  readonly signer: ValidatorIndex | null;
  readonly state: ExecutionState;
  own: Promise<Proof> | null;
}

/**
 * Collects what proves this node's states to those who trust no node: checkpoints as they come by, and signed words of what
 * was executed where no checkpoint says it. The last state of every epoch needs those: the engine that would make its
 * checkpoint has ended (docs/decisions/0008-finality-proofs.md).
 *
 * Invariant: this node signs for a sequence only the state to which its own execution of committed batches came.
 */
export class StateProofs {
  readonly ledger: ProofLedger;
  readonly acceptance: AcceptanceProofs | null;
  readonly #ports: StateProofsPorts;
  readonly #verification: SealVerification;
  readonly #known = new Map<Sequence, KnownState>();
  readonly #timers = new Set<() => void>();
  #latest: KnownState | null;
  /** What was collected last on request. Kept here alone: a checkpoint that covers more comes with the next batches. */
  #fresh: { readonly sequence: Sequence; readonly certificate: StateCertificate } | null = null;
  #collecting: Promise<boolean> | null = null;
  #collectedAtMs = Number.NEGATIVE_INFINITY;
  #searching: Promise<unknown> = Promise.resolve();
  #searchedAtMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  /** @param execution the state that this node begins with */
  constructor(ports: StateProofsPorts, execution: ExecutionState) {
    this.#ports = ports;
    this.acceptance = ports.acceptance ?? null;
    const { network, self: signer } = ports.epochs;
    // The end of an epoch is in rows of its own.
    const isEnd = execution.epochBase === execution.sequence;
    this.#latest = isEnd ? null : { epoch: network.set.epoch, set: network.set, signer, state: execution, own: null };
    if (this.#latest !== null) this.#known.set(execution.sequence, this.#latest);
    this.ledger = new ProofLedger(ports.database);
    this.#verification = new SealVerification(ports.epochs.network, ports.verifier);
  }

  /** Goes on proving the ends of epochs that were not proved when the process ended. */
  start(): void {
    this.#background(async () => {
      for (const epoch of await this.ledger.openEnds()) this.#proveEnd(epoch, RETRY_MS_MIN);
    });
  }

  stop(): void {
    this.#stopped = true;
    this.acceptance?.stop();
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  /** Before the next epoch begins, where this batch ended one. What it writes goes with the execution's own rows. */
  onExecuted(slot: CommittedSlot, execution: Execution, writes: WriteBatch): void {
    const { state, executed, membership, changed } = execution;
    const { network, self: signer } = this.#ports.epochs;
    const leaves = executed.map(({ ref, firstPosition }) => executedLeaf({ bundle: ref.digest, firstPosition }));
    const link = { batch: batchDigest(slot.batch), executed: executedDigest(leaves) };
    this.ledger.recordHistory(writes, state.sequence, { ...link, history: state.history });
    const known: KnownState = { epoch: network.set.epoch, set: network.set, signer, state, own: null };
    this.#latest = known;
    this.#known.set(state.sequence, known);
    this.#known.delete((state.sequence - STATES_MAX) as Sequence);
    if (changed === null) return;
    const { epoch } = known;
    this.ledger.recordEpochEnd(writes, epoch, {
      signer,
      state: encode(executionStateCodec, state),
      membership: encode(membershipStateCodec, membership, 4_096),
    });
    this.#later(RETRY_MS_MIN, () => this.#proveEnd(epoch, RETRY_MS_MIN));
  }

  onCheckpoint({ epoch, sequence, proofs }: CheckpointCertificate): void {
    const known = this.#known.get(sequence);
    if (known === undefined || known.epoch !== epoch) return;
    this.#background(() => this.#write(sequence, certificateOf(known, "checkpoint", proofs)));
  }

  /** What this node can show a peer of a state: a quorum's word, or its own. Nothing where it was not there. */
  async answer(epoch: Epoch, sequence: Sequence): Promise<readonly Proof[]> {
    const kept = await this.ledger.certificateAt(sequence);
    if (kept?.epoch === epoch && kept.phase === "executed") return kept.proofs;
    const known = this.#known.get(sequence) ?? (await this.#endOf(epoch));
    if (known === null || known.epoch !== epoch || known.state.sequence !== sequence) return [];
    const own = await this.#ownProof(known);
    return own === null ? [] : [own];
  }

  /**
   * A certified state that covers a batch; asks the others where there is none yet. Null where no quorum answers. The one that it
   * answers is further behind than a proof may reach only where nobody has a nearer one.
   */
  async certificateFor(sequence: Sequence): Promise<StateCertificate | null> {
    for (;;) {
      const kept = await this.ledger.certificateFrom(sequence);
      const [next, newest] = [kept === null ? null : stateOf(kept).sequence, this.#latest?.state.sequence ?? 0];
      if (next !== null && next - sequence <= HISTORY_LINKS_MAX) return kept;
      // Nothing that is collected now could be near enough: it came by before this node was there.
      if (Math.max(next ?? 0, newest) - sequence > HISTORY_LINKS_MAX) return (await this.#searched(sequence)) ?? kept;
      if (this.#fresh !== null && this.#fresh.sequence >= sequence) return this.#fresh.certificate;
      if (this.#stopped) return null;
      this.#collecting ??= this.#collectNext().finally(() => {
        this.#collecting = null;
      });
      if (!(await this.#collecting)) return null;
    }
  }

  /** One search at a time, as they cost the others a read each; a certificate of the next 4,096 batches serves all of these. */
  async #searched(sequence: Sequence): Promise<StateCertificate | null> {
    const searched = this.#searching.then(() => this.#search(sequence));
    this.#searching = searched.catch(() => null);
    return await searched;
  }

  async #search(from: Sequence): Promise<StateCertificate | null> {
    const to = (from + HISTORY_LINKS_MAX) as Sequence;
    const known = await this.ledger.encodedBetween(from, to);
    if (known !== null) return decode(stateCertificateCodec, known);
    await this.#pause(this.#searchedAtMs + COLLECT_INTERVAL_MS - this.#ports.clock.monotonicMs());
    if (this.#stopped) return null;
    const { transport, epochs } = this.#ports;
    const setOf = async (epoch: Epoch): Promise<ValidatorSet | null> => {
      const { set } = epochs.network;
      return epoch === set.epoch ? set : ((await this.#endOf(epoch))?.set ?? null);
    };
    const parts = { transport, ledger: this.ledger, verification: this.#verification, setOf };
    const found = await searchCertificate({ ...parts, genesis: epochs.network.genesis }, { from, to });
    this.#searchedAtMs = this.#ports.clock.monotonicMs();
    if (found !== null) this.#background(() => this.#write(stateOf(found).sequence, found));
    return found;
  }

  /** Whether a quorum's word about the newest state came; the executions that wait for it share it. */
  async #collectNext(): Promise<boolean> {
    await this.#pause(this.#collectedAtMs + COLLECT_INTERVAL_MS - this.#ports.clock.monotonicMs());
    const known = this.#latest;
    if (known === null) return false;
    for (const waitMs of SOON_MS) {
      const certificate = await this.#collect(known);
      if (certificate !== null) this.#fresh = { sequence: known.state.sequence, certificate };
      if (certificate !== null || this.#stopped) break;
      await this.#pause(waitMs);
    }
    this.#collectedAtMs = this.#ports.clock.monotonicMs();
    return this.#fresh?.sequence === known.state.sequence;
  }

  async #pause(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => this.#later(ms, resolve));
  }

  /** Asks until a quorum of the epoch's validators have said how it ended. */
  #proveEnd(epoch: Epoch, retryMs: number): void {
    this.#background(async () => {
      const known = await this.#endOf(epoch);
      if (known === null || this.#stopped) return;
      const certificate = await this.#collect(known);
      if (certificate === null) {
        this.#later(retryMs, () => this.#proveEnd(epoch, Math.min(2 * retryMs, RETRY_MS_MAX)));
        return;
      }
      await this.#write(known.state.sequence, certificate, epoch);
    });
  }

  async #endOf(epoch: Epoch): Promise<KnownState | null> {
    const end = await this.ledger.epochEnd(epoch);
    return end === null ? null : knownEnd(epoch, end);
  }

  /** A quorum's word about one state; null where not enough can be reached. */
  async #collect(known: KnownState): Promise<StateCertificate | null> {
    const proofs = new Map<ValidatorIndex, Proof>();
    const own = await this.#ownProof(known);
    if (own !== null) proofs.set(own.seal.signer, own);
    const isEnough = (): boolean => proofs.size >= known.set.quorum;
    if (!isEnough()) await this.#askAll(known, proofs, isEnough);
    if (!isEnough()) return null;
    const ordered = [...proofs.values()].sort((left, right) => left.seal.signer - right.seal.signer);
    return certificateOf(known, "executed", ordered.slice(0, known.set.quorum));
  }

  /** Resolves when there is enough, or all have answered. */
  async #askAll(known: KnownState, proofs: Map<ValidatorIndex, Proof>, isEnough: () => boolean): Promise<void> {
    const { transport } = this.#ports;
    const peers = transport.peers().filter(({ nodeId }) => known.set.placeOf(nodeId) !== null);
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    const asked = peers.map(async ({ nodeId }) => {
      for (const proof of await this.#ask(nodeId, known)) proofs.set(proof.seal.signer, proof);
      if (isEnough()) resolve();
    });
    await Promise.race([enough, Promise.all(asked)]);
  }

  /** The proofs of a peer's answer that hold. */
  async #ask(peer: NodeId, known: KnownState): Promise<readonly Proof[]> {
    const { transport } = this.#ports;
    const { epoch, set, state } = known;
    try {
      const question = encode(questionCodec, { kind: "state", epoch, sequence: state.sequence });
      const answer = await transport.request(peer, question, { timeoutMs: ANSWER_TIMEOUT_MS });
      const { proofs } = decode(stateAnswerCodec, answer);
      const ofSet = proofs.filter(({ seal }) => set.has(seal.signer));
      const leaf = this.#leafOf(known);
      const held = await Promise.all(ofSet.map((proof) => this.#verification.allHold([{ leaf, proof }])));
      return ofSet.filter((_, index) => held[index] === true);
    } catch {
      // The transport counts and logs it; others are asked as well.
      return [];
    }
  }

  /** @param ended the epoch whose end it proves, where it does */
  async #write(sequence: Sequence, certificate: StateCertificate, ended: Epoch | null = null): Promise<void> {
    const batch = new WriteBatch();
    this.ledger.recordCertificate(batch, sequence, certificate);
    if (ended !== null) this.ledger.closeEpochEnd(batch, ended);
    await this.#ports.database.write(batch.finish());
  }

  async #ownProof(known: KnownState): Promise<Proof | null> {
    const { signer } = known;
    if (signer === null) return null;
    known.own ??= this.#sign(signer, this.#leafOf(known));
    return await known.own;
  }

  async #sign(signer: ValidatorIndex, leaf: Hash): Promise<Proof> {
    const message = sealedBytes(this.#ports.epochs.network, signer, 1, merkleRoot([leaf]));
    return {
      seal: { signer, leafCount: 1, signature: await this.#ports.signer.sign(message) },
      leafIndex: 0,
      path: [],
    };
  }

  #leafOf({ epoch, state }: KnownState): Hash {
    const { genesis } = this.#ports.epochs.network;
    return statementDigest({ genesis, set: { epoch } }, statementAbout("executed", state));
  }

  #later(ms: number, callback: () => void): void {
    if (this.#stopped) return;
    const { clock } = this.#ports;
    const cancel = clock.setTimer(clock.monotonicMs() + ms, () => {
      this.#timers.delete(cancel);
      callback();
    });
    this.#timers.add(cancel);
  }

  /** What fails here is the disk, or this node's own key: it says so as the loop does, and takes part no more. */
  #background(work: () => Promise<unknown>): void {
    if (this.#stopped) return;
    work().catch((error: unknown) => {
      if (this.#stopped) return;
      this.stop();
      this.#ports.onFailure(error);
    });
  }
}

function certificateOf({ epoch, state }: KnownState, phase: StatePhase, proofs: readonly Proof[]): StateCertificate {
  return { epoch, phase, state: encode(executionStateCodec, state), proofs };
}

function knownEnd(epoch: Epoch, end: EpochEnd): KnownState | null {
  const membership: MembershipState = decode(membershipStateCodec, end.membership);
  const set = earlierSetsOf(membership).find((earlier) => earlier.epoch === epoch);
  if (set === undefined) return null;
  const state = stateOf({ epoch, phase: "executed", state: end.state, proofs: [] });
  return { epoch, set, signer: end.signer, state, own: null };
}
