import { decode, encode } from "../codec/codec.ts";
import { MerkleTree } from "../crypto/merkle.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { HybridSignature } from "../crypto/signature.ts";
import { contentOf } from "../dag/vertex.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import { acceptedStatement, type AcceptedVertex } from "../light/accepted-proof.ts";
import { encodeProof } from "../light/finality-proof.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import { type Proof, proofIn, sealedBytes } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import { KeptWords, type Words } from "./kept-words.ts";
import type { DagLedger } from "./dag-ledger.ts";
import type { Clock, Signer, Transport, Verifier } from "./ports.ts";
import { NodeError } from "./service.ts";
import { SealVerification } from "./verification.ts";
import { ACCEPTED_ASKED_MAX, type AcceptedAnswer, acceptedAnswerCodec, questionCodec } from "./wire.ts";

const ANSWER_TIMEOUT_MS = 4_000;

/**
 * Between two collections. Each costs every validator a signature, for up to `ACCEPTED_ASKED_MAX` vertices, and anybody who may
 * ask the API can want one.
 */
const COLLECT_INTERVAL_MS = 1_000;

/** Vertices that wait for a collection: what 16 of them ask about, so that the last one does not wait for half a minute. */
const WAITING_MAX: number = 16 * ACCEPTED_ASKED_MAX;

/** Nodes accept a vertex within milliseconds of each other; these are waits before asking them again. */
const SOON_MS: readonly number[] = [0, 50, 150, 400, 900];

const RETRY_MS = 1_000;

export const NOTHING_ACCEPTED: AcceptedAnswer = { indices: [], seal: null };

export interface AcceptanceProofsPorts {
  readonly epochs: { readonly network: NetworkContext; readonly self: ValidatorIndex | null };
  readonly ledger: Pick<DagLedger, "vertex">;
  readonly transport: Pick<Transport, "peers" | "request">;
  readonly signer: Signer;
  readonly verifier: Verifier;
  readonly clock: Clock;
  /** Why a vertex is rejected, in words. */
  whyRejected(vertex: Hash): Promise<string>;
}

interface Waiting {
  readonly words: Promise<Words | null>;
  resolve(words: Words | null): void;
  reject(error: unknown): void;
}

/**
 * Collects what proves vertices of a leaderless network to those who trust no node: the signed word of a quorum that each has
 * accepted the vertex (docs/decisions/0009-proofs-of-acceptance.md). Nothing is signed before somebody asks, and what was collected is kept
 * in memory alone: a quorum can say it again at any time.
 *
 * Invariant: this node says it only of a vertex that its own disk has as accepted, and what is accepted there stays so.
 */
export class AcceptanceProofs {
  readonly #ports: AcceptanceProofsPorts;
  readonly #verification: SealVerification;
  readonly #kept = new KeptWords();
  readonly #waiting = new Map<Hash, Waiting>();
  readonly #pauses = new Set<() => void>();
  #signing: Promise<unknown> = Promise.resolve();
  #isCollecting = false;
  #collectedAtMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(ports: AcceptanceProofsPorts) {
    this.#ports = ports;
    this.#verification = new SealVerification(ports.epochs.network, ports.verifier);
  }

  stop(): void {
    this.#stopped = true;
    for (const end of this.#pauses) end();
  }

  /**
   * An encoded proof that a vertex is accepted; null where this node has decided nothing about it. Asks the other validators.
   * @throws NodeError `not-ready` where no quorum answers or too many wait, `not-provable` where the vertex is rejected
   */
  async proof(vertex: Hash): Promise<Uint8Array | null> {
    const found = await this.#ports.ledger.vertex(vertex);
    if (found === null) return null;
    const { metadata, stored } = found;
    if (!metadata.isAccepted) {
      const why = await this.#ports.whyRejected(vertex);
      throw new NodeError("not-provable", `there is no proof of it, for ${why}`);
    }
    const words = await this.#wordsFor(vertex);
    if (words === null) throw notReady("no quorum of validators says now that it has accepted this vertex");
    const { bundle } = stored.held;
    const content: AcceptedVertex = {
      creator: this.#ports.epochs.network.set.at(bundle.creator).nodeId,
      nonce: (bundle.firstNonce + metadata.index) as Nonce,
      timestampMs: bundle.timestampMs,
      parents: bundle.parents,
      content: contentOf(bundle.payloads),
      payload: present(bundle.payloads[metadata.index], "an accepted vertex's payload"),
    };
    return encodeProof({ kind: "accepted", vertex: content, ...words });
  }

  /** This node's word about those of these vertices that it has accepted, where it is a validator of this epoch. */
  async answer(epoch: Epoch, vertices: readonly Hash[]): Promise<AcceptedAnswer> {
    const { ledger } = this.#ports;
    const found = await Promise.all(vertices.map((vertex) => ledger.vertex(vertex)));
    const indices = found.flatMap((each, index) => (each?.metadata.isAccepted === true ? [index] : []));
    // Read now, not before: the epoch may have ended meanwhile, and it is no validator's word any more.
    const { network, self: signer } = this.#ports.epochs;
    if (signer === null || network.set.epoch !== epoch || indices.length === 0) return NOTHING_ACCEPTED;
    const { root } = new MerkleTree(this.#leavesOf(epoch, vertices, indices));
    const signature = await this.#sign(sealedBytes(network, signer, indices.length, root));
    return { indices, seal: { signer, leafCount: indices.length, signature } };
  }

  /** One at a time, however many ask: this node's votes must not wait behind its words. */
  async #sign(message: Uint8Array): Promise<HybridSignature> {
    const signed = this.#signing.then(() => this.#ports.signer.sign(message));
    this.#signing = signed.catch(() => undefined);
    return await signed;
  }

  #leavesOf(epoch: Epoch, vertices: readonly Hash[], indices: readonly number[]): readonly Hash[] {
    const context = { genesis: this.#ports.epochs.network.genesis, set: { epoch } };
    return indices.map((index) => {
      return statementDigest(context, acceptedStatement(present(vertices[index], `vertex ${index}`)));
    });
  }

  async #wordsFor(vertex: Hash): Promise<Words | null> {
    const kept = this.#kept.get(vertex, this.#ports.epochs.network.set.epoch);
    if (kept !== null) return kept;
    const waiting = this.#waiting.get(vertex);
    if (waiting !== undefined) return await waiting.words;
    if (this.#stopped || this.#waiting.size >= WAITING_MAX) {
      throw notReady(`proofs of ${this.#waiting.size} other vertices are being collected`);
    }
    const { promise: words, resolve, reject } = Promise.withResolvers<Words | null>();
    this.#waiting.set(vertex, { words, resolve, reject });
    void this.#collectAll();
    return await words;
  }

  /** Goes on while anybody waits. Its failures are told to who waits. */
  async #collectAll(): Promise<void> {
    if (this.#isCollecting) return;
    this.#isCollecting = true;
    while (this.#waiting.size > 0) {
      await this.#pause(this.#collectedAtMs + COLLECT_INTERVAL_MS - this.#ports.clock.monotonicMs());
      const asked = [...this.#waiting.keys()].slice(0, ACCEPTED_ASKED_MAX);
      try {
        await this.#collect(asked);
        for (const vertex of asked) this.#end(vertex, (waiting) => waiting.resolve(null));
      } catch (error) {
        for (const vertex of asked) this.#end(vertex, (waiting) => waiting.reject(error));
      }
      this.#collectedAtMs = this.#ports.clock.monotonicMs();
    }
    this.#isCollecting = false;
  }

  /** Whoever waits for a vertex is told as soon as a quorum has said it. */
  async #collect(asked: readonly Hash[]): Promise<void> {
    const { set } = this.#ports.epochs.network;
    const proofs = new Map(asked.map((vertex) => [vertex, new Map<ValidatorIndex, Proof>()]));
    const own = await this.answer(set.epoch, asked);
    this.#take(set, asked, own, proofs);
    for (const waitMs of SOON_MS) {
      await this.#pause(waitMs);
      const left = asked.filter((vertex) => this.#waiting.has(vertex));
      if (this.#stopped || left.length === 0 || this.#ports.epochs.network.set !== set) return;
      await this.#askAll(set, left, proofs);
    }
  }

  async #askAll(
    set: ValidatorSet,
    asked: readonly Hash[],
    proofs: ReadonlyMap<Hash, Map<ValidatorIndex, Proof>>,
  ): Promise<void> {
    const peers = this.#ports.transport.peers().filter(({ nodeId }) => set.indexOf(nodeId) !== null);
    const isDone = Promise.withResolvers<void>();
    const asking = peers.map(async ({ nodeId }) => {
      const answer = await this.#ask(set, nodeId, asked);
      this.#take(set, asked, answer, proofs);
      if (asked.every((vertex) => !this.#waiting.has(vertex))) isDone.resolve();
    });
    // One validator that does not answer must not keep the others' words.
    await Promise.race([isDone.promise, Promise.all(asking)]);
  }

  /** A peer's word, where it holds; nothing else of it does. */
  async #ask(set: ValidatorSet, peer: NodeId, asked: readonly Hash[]): Promise<AcceptedAnswer> {
    try {
      const question = encode(questionCodec, { kind: "accepted", epoch: set.epoch, vertices: asked });
      const body = await this.#ports.transport.request(peer, question, { timeoutMs: ANSWER_TIMEOUT_MS });
      const answer = decode(acceptedAnswerCodec, body);
      const { indices, seal } = answer;
      const isAscending = indices.every((index, at) => index > (indices[at - 1] ?? -1) && index < asked.length);
      if (seal === null || !isAscending || indices.length === 0) return NOTHING_ACCEPTED;
      if (seal.signer !== set.indexOf(peer) || seal.leafCount !== indices.length) return NOTHING_ACCEPTED;
      const leaves = this.#leavesOf(set.epoch, asked, indices);
      const leaf = present(leaves[0], "a leaf");
      const proof = proofIn(seal, new MerkleTree(leaves), 0);
      return (await this.#verification.allHold([{ leaf, proof }])) ? answer : NOTHING_ACCEPTED;
    } catch {
      // The transport counts and logs it; others are asked as well.
      return NOTHING_ACCEPTED;
    }
  }

  /** Counts a word that holds; what a quorum has said of it is kept, and told. */
  #take(
    set: ValidatorSet,
    asked: readonly Hash[],
    { indices, seal }: AcceptedAnswer,
    proofs: ReadonlyMap<Hash, Map<ValidatorIndex, Proof>>,
  ): void {
    if (seal === null) return;
    const tree = new MerkleTree(this.#leavesOf(set.epoch, asked, indices));
    indices.forEach((index, leafIndex) => {
      const vertex = present(asked[index], `vertex ${index}`);
      const said = present(proofs.get(vertex), "the words about a vertex that is asked about");
      said.set(seal.signer, proofIn(seal, tree, leafIndex));
      if (said.size < set.quorum || !this.#waiting.has(vertex)) return;
      const ordered = [...said.values()].sort((left, right) => left.seal.signer - right.seal.signer);
      const words: Words = { epoch: set.epoch, proofs: ordered };
      this.#kept.add(vertex, words);
      this.#end(vertex, (waiting) => waiting.resolve(words));
    });
  }

  #end(vertex: Hash, tell: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(vertex);
    if (waiting === undefined) return;
    this.#waiting.delete(vertex);
    tell(waiting);
  }

  async #pause(ms: number): Promise<void> {
    if (ms <= 0 || this.#stopped) return;
    const { clock } = this.#ports;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.setTimer(clock.monotonicMs() + ms, resolve);
    const end = (): void => {
      cancel();
      resolve();
    };
    this.#pauses.add(end);
    await promise;
    this.#pauses.delete(end);
  }
}

function notReady(why: string): NodeError {
  return new NodeError("not-ready", why, { retryAfterMs: RETRY_MS });
}
