import { merklePath, MerkleTree } from "../crypto/merkle.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import { encodeLink } from "../light/epochs.ts";
import { encodeProof } from "../light/finality-proof.ts";
import { HISTORY_LINKS_MAX, type ProvenVertex } from "../light/ordered-proof.ts";
import { stateOf } from "../light/state-certificate.ts";
import type { Epoch, Sequence } from "../membership/ids.ts";
import { executedLeaf } from "../replication/executor.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import type { FinalizedRun, VertexMetadata } from "./ledger-rows.ts";
import { NodeError, type ProofService } from "./service.ts";
import type { StateProofs } from "./state-proofs.ts";

/** A page of links: each has the keys of everybody who ever was a validator. */
const LINKS_BYTES_SOFT_MAX = 1024 * 1024;

const RETRY_MS = 1_000;

export interface FinalityProofsParts {
  readonly ledger: Pick<Ledger, "vertex" | "finalizedRuns">;
  readonly states: StateProofs;
  readonly genesis: Hash;
}

/** Puts together what this node has on its disk for those who trust no node. */
export class FinalityProofs implements ProofService {
  readonly states: StateProofs;
  readonly #ledger: Pick<Ledger, "vertex" | "finalizedRuns">;
  /** Where the chain of histories begins. */
  readonly #genesis: Hash;

  constructor({ ledger, states, genesis }: FinalityProofsParts) {
    this.#ledger = ledger;
    this.states = states;
    this.#genesis = genesis;
  }

  start(): void {
    this.states.start();
  }

  stop(): void {
    this.states.stop();
  }

  async proof(hash: Hash): Promise<Uint8Array | null> {
    return (await this.states.acceptance?.proof(hash)) ?? (await this.#ordered(hash));
  }

  async #ordered(hash: Hash): Promise<Uint8Array | null> {
    const vertex = await this.#ledger.vertex(hash);
    if (vertex === null) return null;
    const { metadata, stored } = vertex;
    const found = await this.#runAt(metadata);
    // It may have been forgotten since it was read.
    if (found === null && (await this.#ledger.vertex(hash)) === null) return null;
    const run = present(found, `the run of final vertex ${hash}`);
    const certificate = await this.states.certificateFor(run.batch);
    if (certificate === null) {
      const why = `no quorum of validators confirmed batch ${run.batch} to this node yet`;
      throw new NodeError("not-ready", why, { retryAfterMs: RETRY_MS });
    }
    const last = stateOf(certificate).sequence;
    if (last - run.batch > HISTORY_LINKS_MAX) {
      const why = `the next certified state here is ${last - run.batch} batches behind it: ask a node that was there`;
      throw new NodeError("not-provable", why);
    }
    const histories = await this.states.ledger.histories(run.batch, last - run.batch + 1);
    const [own, ...links] = histories;
    if (own === undefined || links.length !== last - run.batch) throw withoutHistory(run.batch);
    const executed = await this.#executedIn(run.batch, metadata);
    const index = executed.findIndex(({ run: { bundle } }) => bundle === metadata.bundle);
    const leaves = executed.map(({ firstPosition, run: { bundle } }) => executedLeaf({ bundle, firstPosition }));
    return encodeProof({
      kind: "ordered",
      vertex: vertexOf(metadata, stored),
      firstPosition: present(executed[index], "the bundle among those of its batch").firstPosition,
      executedIndex: index,
      executedCount: leaves.length,
      executedPath: merklePath(leaves, index),
      historyBefore: await this.#historyBefore(run.batch),
      batch: own.batch,
      links: links.map(({ batch, executed: digest }) => ({ batch, executed: digest })),
      certificate,
    });
  }

  async epochLinks(from: number): Promise<readonly Uint8Array[]> {
    const { ledger } = this.states;
    const links: Uint8Array[] = [];
    let bytes = 0;
    for (let epoch = from; bytes < LINKS_BYTES_SOFT_MAX; epoch++) {
      const end = await ledger.epochEnd(epoch as Epoch);
      if (end === null) break;
      const { sequence } = stateOf({ epoch: epoch as Epoch, phase: "executed", state: end.state, proofs: [] });
      const certificate = await ledger.certificateAt(sequence);
      if (certificate === null) break;
      const link = encodeLink({ certificate, membership: end.membership });
      links.push(link);
      bytes += link.length;
    }
    return links;
  }

  async #runAt({ position }: VertexMetadata): Promise<FinalizedRun | null> {
    const [found] = await this.#ledger.finalizedRuns(position, 1);
    return found?.run ?? null;
  }

  /** Every bundle that a batch executed, in order: those before and behind one of them. */
  async #executedIn(
    batch: Sequence,
    { position }: VertexMetadata,
  ): Promise<Awaited<ReturnType<Ledger["finalizedRuns"]>>> {
    const executed = [...(await this.#ledger.finalizedRuns(position, 1))];
    for (let next = executed[0]; next !== undefined && next.firstPosition > 1; ) {
      const [before] = await this.#ledger.finalizedRuns(next.firstPosition - 1, 1);
      if (before === undefined || before.run.batch !== batch) break;
      executed.unshift(before);
      next = before;
    }
    for (let next = executed.at(-1); next !== undefined; ) {
      const [behind] = await this.#ledger.finalizedRuns(next.firstPosition + next.run.count, 1);
      if (behind === undefined || behind.run.batch !== batch) break;
      executed.push(behind);
      next = behind;
    }
    return executed;
  }

  async #historyBefore(batch: Sequence): Promise<Hash> {
    if (batch === 1) return this.#genesis;
    const [before] = await this.states.ledger.histories((batch - 1) as Sequence, 1);
    if (before === undefined) throw withoutHistory(batch);
    return before.history;
  }
}

function vertexOf({ index }: VertexMetadata, { held }: StoredBundle): ProvenVertex {
  const { bundle, vertexIds } = held;
  const { creator, term, purpose, firstNonce, timestampMs, parents } = bundle;
  return {
    header: { creator, term, purpose, firstNonce, timestampMs },
    parents,
    count: vertexIds.length,
    index,
    payload: present(bundle.payloads[index], "a final vertex's payload"),
    path: new MerkleTree(vertexIds).path(index),
  };
}

function withoutHistory(batch: Sequence): NodeError {
  const why = `this node's log is from a time when it kept no history of batch ${batch}: ask another node`;
  return new NodeError("not-provable", why);
}
