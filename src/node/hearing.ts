import { decode, encode } from "../codec/codec.ts";
import type { CheckpointCertificate } from "../consensus/engine.ts";
import { checkpointCertificateOf } from "../consensus/engine.ts";
import { checkpointCertificateCodec } from "../consensus/log-codec.ts";
import type { NodeId } from "../crypto/identity.ts";
import { hasDistinctSigners, obligationsOf } from "../membership/certificate.ts";
import type { Nonce, Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import { statementDigest } from "../membership/statement.ts";
import type { CurrentNetwork } from "./current-network.ts";
import type { StoredBundle } from "./ledger.ts";
import type { LoopObserver } from "./observer.ts";
import type { Clock, Transport } from "./ports.ts";
import type { StartGate, Testimony } from "./start-gate.ts";
import type { SealVerification } from "./verification.ts";
import { type ProvenBody, questionCodec, type WitnessAnswer, witnessAnswerCodec } from "./wire.ts";
import { type HeardStatement, isViewWord, isVote } from "./witnesses.ts";

export interface HearingPorts {
  readonly network: CurrentNetwork;
  readonly gate: StartGate;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly verification: SealVerification;
  self(): ValidatorIndex | null;
  /** Whether a bundle is its creator's, whatever it says; null where it is not. */
  open(body: ProvenBody): Promise<StoredBundle | null>;
  /** An answer that is none is rejected: no correct peer sends such. */
  readonly observer: LoopObserver;
  isStopped(): boolean;
}

/** How often those who did not answer are asked again. */
const AGAIN_MS = 500;

const ANSWER_TIMEOUT_MS = 4_000;

/** Asks the others what they heard this node say, and checks every proof, until the gate has heard enough. */
export class Hearing {
  readonly #ports: HearingPorts;
  readonly #asking = new Set<NodeId>();
  #isTiming = false;

  constructor(ports: HearingPorts) {
    this.#ports = ports;
  }

  /** Asks every connected validator that is wanted, now and until it has answered. */
  ask(): void {
    const { clock, network, gate, transport } = this.#ports;
    const self = this.#ports.self();
    if (self === null || this.#ports.isStopped()) return;
    const wanted = network.set.indices().filter((index) => index !== self && gate.wants(index));
    if (wanted.length === 0) return;
    const connected = new Set(transport.peers().map(({ nodeId }) => nodeId));
    for (const index of wanted) {
      const { nodeId } = network.set.at(index);
      if (connected.has(nodeId) && !this.#asking.has(nodeId)) void this.#askOne(index, nodeId, self);
    }
    if (this.#isTiming) return;
    this.#isTiming = true;
    clock.setTimer(clock.monotonicMs() + AGAIN_MS, () => {
      this.#isTiming = false;
      this.ask();
    });
  }

  async #askOne(index: ValidatorIndex, peer: NodeId, self: ValidatorIndex): Promise<void> {
    const { transport, gate } = this.#ports;
    this.#asking.add(peer);
    try {
      const question = encode(questionCodec, { kind: "witness", validator: self });
      const bytes = await transport.request(peer, question, { timeoutMs: ANSWER_TIMEOUT_MS });
      const testimony = await this.#check(bytes, self);
      if (testimony === null) this.#ports.observer.onRejected(peer, "malformed-answer: a testimony without its proof");
      else gate.onTestimony(index, testimony);
    } catch {
      // Away, or slow: it is asked again.
    } finally {
      this.#asking.delete(peer);
    }
  }

  /** Null where anything in it is not what this node, or a quorum, signed. */
  async #check(bytes: Uint8Array, self: ValidatorIndex): Promise<Testimony | null> {
    let answer: WitnessAnswer;
    let checkpoint: CheckpointCertificate | null;
    try {
      answer = decode(witnessAnswerCodec, bytes);
      checkpoint = answer.checkpoint === null ? null : decode(checkpointCertificateCodec, answer.checkpoint);
    } catch {
      return null;
    }
    const { network, verification } = this.#ports;
    const isOwn = answer.statements.every(({ proof }) => proof.seal.signer === self);
    const votes = answer.statements.filter(({ statement }) => isVote(statement.phase));
    const views = answer.statements.filter(({ statement }) => isViewWord(statement.phase));
    // Of other words some bind no epoch, and could be shown as if they did.
    if (votes.length > 1 || views.length > 1 || votes.length + views.length !== answer.statements.length) return null;
    const leaves = answer.statements.map(({ epoch, statement, proof }) => ({
      leaf: statementDigest({ genesis: network.genesis, set: { epoch } }, statement),
      proof,
    }));
    if (!isOwn || !(await verification.allHold(leaves))) return null;
    const bundle = answer.bundle === null ? null : await this.#ports.open(answer.bundle);
    if (answer.bundle !== null && bundle?.held.ref.creator !== self) return null;
    const inDag = answer.dagBundle === null ? null : await this.#ports.open(answer.dagBundle);
    if (answer.dagBundle !== null && inDag?.held.ref.creator !== self) return null;
    const stable = await this.#provenStable(checkpoint);
    if (stable === null) return null;
    const [vote] = votes;
    const [view] = views;
    return {
      vote: vote === undefined ? null : { epoch: vote.epoch, sequence: vote.statement.sequence as Sequence },
      view: view === undefined ? null : viewOf(view),
      bundle: laneEndOf(bundle),
      dagBundle: laneEndOf(inDag),
      stable,
    };
  }

  /**
   * 0 for none, and for one of another epoch, which says nothing here: its validators may not be known yet. Null where it is
   * of this epoch and proves nothing.
   */
  async #provenStable(checkpoint: CheckpointCertificate | null): Promise<Sequence | null> {
    const { network, verification } = this.#ports;
    const { set } = network;
    if (checkpoint === null || checkpoint.epoch !== set.epoch) return 0 as Sequence;
    if (!hasDistinctSigners(set, checkpoint.proofs, set.quorum)) return null;
    const holds = await verification.allHold(obligationsOf(network, checkpointCertificateOf(checkpoint)));
    return holds ? checkpoint.sequence : null;
  }
}

/** Up to which nonce a lane is proved to be used. */
function laneEndOf(stored: StoredBundle | null): Testimony["bundle"] {
  if (stored === null) return null;
  const { term, firstNonce, count } = stored.held.ref;
  return { term, nonce: (firstNonce + count - 1) as Nonce };
}

function viewOf({ epoch, statement }: HeardStatement): Testimony["view"] {
  return { epoch, view: statement.view as View };
}
