import { decode } from "../codec/codec.ts";
import type { Engine, Verified } from "../consensus/engine.ts";
import { type Bundle, bundleCodec, bundleFault, bundleStatement, holdBundle } from "../dag/bundle.ts";
import { openEnvelope } from "../dag/conflict-keys.ts";
import type { Obligation } from "../membership/certificate.ts";
import type { NodeId } from "../crypto/identity.ts";
import { unreachable } from "../lib/assert.ts";
import type { PlacedLeaf } from "../crypto/partial-tree.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import { proofIn, type Signed } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { TokenBucket } from "../peering/token-bucket.ts";
import type { StoredBundle } from "./ledger.ts";
import { commandVerdict } from "./membership-bundles.ts";
import type { Lane } from "./ports.ts";
import type { SealVerification } from "./verification.ts";
import {
  type Frame,
  frameCodec,
  type ProvenBody,
  type RelayedFrame,
  type SealedFrame,
  type StatusFrame,
} from "./wire.ts";

export interface InboundPorts<M> {
  readonly network: NetworkContext;
  /** The engine of the present epoch. */
  engine(): Engine<M>;
  readonly verification: SealVerification;
  /** Whether no leader orders clients' payloads here: they come in bundles of purpose `dag` then, else in `application`. */
  readonly isLeaderless: boolean;
  /** Whether a bundle of this creator from this nonce on is of use: neither executed, nor too far ahead, nor held. */
  isBundleWanted(bundle: Bundle, digest: () => Hash): boolean;
  onMessage(signed: Verified<Signed<M>>): void;
  /** Resolves when they have had their effect. */
  onBundles(bundles: readonly StoredBundle[], sender: ValidatorIndex | null): Promise<void>;
  onStatus(from: ValidatorIndex, frame: StatusFrame): void;
  /** A peer is in a later epoch: this node lags. */
  onLaterEpoch(peer: NodeId): void;
  monotonicMs(): number;
  /** What a validator sealed itself; before its signature is checked. */
  onSealed(peer: NodeId, lane: Lane, frame: SealedFrame): void;
  /** A node outside the validator set wants to follow. */
  onObserver(peer: NodeId, frame: StatusFrame): void;
  /** A correct peer sends such things too. */
  onIgnored(peer: NodeId, reason: string): void;
  /** No correct peer sends this. The blame is the connection's, never a name's inside the message. */
  onRejected(peer: NodeId, reason: string): void;
}

/** Statuses of one peer that are looked at; a correct one sends one a second while it waits, and one at each connection. */
const STATUS_PER_SECOND = 5;
const STATUS_BURST = 20;

/** Peers whose statuses are counted: above any `max_peers`. */
const STATUS_PEERS_MAX = 2_048;

interface Opened<M> {
  readonly message: M;
  readonly leaf: Hash;
  readonly wanted: boolean;
}

/**
 * From bytes to verified events, in order of cost: shape, sender, expected at all, duplicate, and only then signatures
 * (`traps.md`: a flood of garbage must not buy signature checks).
 */
export class Inbound<M> {
  readonly #ports: InboundPorts<M>;
  readonly #statusBuckets = new Map<NodeId, TokenBucket>();

  constructor(ports: InboundPorts<M>) {
    this.#ports = ports;
  }

  /** Resolves when the frame has had its effect; until then the transport reads no further on this lane. */
  async onFrame(peer: NodeId, lane: Lane, bytes: Uint8Array): Promise<void> {
    const from = this.#ports.network.set.indexOf(peer);
    let frame: Frame;
    try {
      frame = decode(frameCodec, bytes);
    } catch (error) {
      return this.#ports.onRejected(peer, `malformed-frame: ${String(error)}`);
    }
    const { epoch } = this.#ports.network.set;
    if (frame.epoch > epoch) this.#ports.onLaterEpoch(peer);
    if (from === null) return this.#onOutsider(peer, frame);
    // Bundles hold in every epoch, votes only in their own.
    if (frame.kind !== "status" && frame.epoch !== epoch && lane === "consensus") {
      return this.#ports.onIgnored(peer, "other-epoch");
    }
    switch (frame.kind) {
      case "sealed":
        if (frame.seal.signer !== from) return this.#ports.onRejected(peer, "seal-of-another");
        this.#ports.onSealed(peer, lane, frame);
        return await (lane === "consensus" ? this.#onSealedMessages(peer, frame) : this.#onSealedBundles(peer, frame));
      case "relayed":
        return await this.#onRelayed(peer, lane, frame);
      case "status":
        if (frame.epoch === epoch && !this.#isWellFormed(frame))
          return this.#ports.onRejected(peer, "malformed-status");
        if (this.#asksTooOften(peer)) return this.#ports.onIgnored(peer, "status-too-often");
        return this.#ports.onStatus(from, frame);
      default:
        return unreachable(frame);
    }
  }

  /** Of a node that is no validator of this epoch: it has no vote, all that it may do is ask where this node stands. */
  #onOutsider(peer: NodeId, frame: Frame): void {
    if (frame.kind === "status") {
      if (this.#asksTooOften(peer)) return this.#ports.onIgnored(peer, "status-too-often");
      return this.#ports.onObserver(peer, frame);
    }
    // A validator of an epoch that is over, or of one that has not begun here, does not know that yet.
    if (frame.epoch !== this.#ports.network.set.epoch) return this.#ports.onIgnored(peer, "other-epoch");
    return this.#ports.onRejected(peer, "statement-of-observer");
  }

  /** Checks that one bundle is its creator's, whatever it says about the validator set; null where it is not. */
  async openOwnership(proven: ProvenBody): Promise<StoredBundle | null> {
    return await this.#open(proven, () => []);
  }

  /** Checks one bundle that came with its own proof; null where it is not acceptable. */
  async openBundle(proven: ProvenBody): Promise<StoredBundle | null> {
    return await this.#open(proven, (bundle) => {
      const verdict = commandVerdict(this.#ports.network, bundle);
      return verdict.kind === "accept" ? verdict.obligations : null;
    });
  }

  /** `further` names what else must hold; null refuses the bundle. */
  async #open(
    { body: view, proof }: ProvenBody,
    further: (bundle: Bundle) => readonly Obligation[] | null,
  ): Promise<StoredBundle | null> {
    const body = view.slice();
    const bundle = this.#decodeBundle(body);
    if (bundle === null || bundle.creator !== proof.seal.signer) return null;
    const obligations = further(bundle);
    if (obligations === null) return null;
    const held = holdBundle(this.#ports.network, bundle);
    const leaf = statementDigest(this.#ports.network, bundleStatement(held.ref));
    const { verification } = this.#ports;
    const holds = await verification.allHold([{ leaf, proof }, ...obligations]);
    return holds ? { held, body, proof: verification.keptProof(leaf, proof) } : null;
  }

  async #onSealedMessages(peer: NodeId, frame: SealedFrame): Promise<void> {
    const { verification } = this.#ports;
    const engine = this.#ports.engine();
    const { signer } = frame.seal;
    const wanted: { readonly message: M; readonly index: number }[] = [];
    const leaves: PlacedLeaf[] = [];
    for (const { index, body } of frame.items) {
      const opened = this.#openMessage(peer, signer, body);
      if (opened === null) return;
      leaves.push({ index, leaf: opened.leaf });
      if (opened.wanted) wanted.push({ message: opened.message, index });
    }
    if (wanted.length === 0) return;
    const tree = await verification.sealedTree(frame.seal, leaves, frame.complement);
    if (tree === null) return this.#ports.onRejected(peer, "invalid-signature");
    const seal = verification.kept(frame.seal, tree.root);
    for (const { message, index } of wanted) {
      const proof = proofIn(seal, tree, index);
      const obligations = engine.wire.obligationsOf(message);
      if (obligations === null) this.#ports.onRejected(peer, "malformed-certificate");
      else if (await verification.allHold(obligations)) this.#deliver(engine, { message, proof });
      else this.#ports.onRejected(peer, "invalid-certificate");
    }
  }

  /** Verification takes time: what was said to an engine whose epoch is over meanwhile is said to nobody. */
  #deliver(engine: Engine<M>, signed: Signed<M>): void {
    if (engine === this.#ports.engine()) this.#ports.onMessage(this.#ports.verification.mint(signed));
  }

  async #onSealedBundles(peer: NodeId, frame: SealedFrame): Promise<void> {
    const { network, verification } = this.#ports;
    const stored: { readonly bundle: Omit<StoredBundle, "proof">; readonly index: number }[] = [];
    const obligations: Obligation[] = [];
    const leaves: PlacedLeaf[] = [];
    for (const { index, body: view } of frame.items) {
      // A bundle stays for long: as a view it would keep the whole frame, with its other bodies and the seal.
      const body = view.slice();
      const bundle = this.#decodeBundle(body);
      if (bundle === null) return this.#ports.onRejected(peer, "malformed-bundle");
      if (bundle.creator !== frame.seal.signer) return this.#ports.onRejected(peer, "bundle-of-another");
      const held = holdBundle(network, bundle);
      leaves.push({ index, leaf: statementDigest(network, bundleStatement(held.ref)) });
      const verdict = commandVerdict(network, bundle);
      if (verdict.kind === "reject") return this.#ports.onRejected(peer, verdict.reason);
      if (verdict.kind === "ignore") this.#ports.onIgnored(peer, verdict.reason);
      else if (this.#ports.isBundleWanted(bundle, () => held.ref.digest)) {
        stored.push({ bundle: { held, body }, index });
        obligations.push(...verdict.obligations);
      } else if (bundle.purpose === "dag") this.#ports.onIgnored(peer, "dag-bundle-not-wanted");
      else this.#ports.onIgnored(peer, "bundle-not-wanted");
    }
    if (stored.length === 0) return;
    const tree = await verification.sealedTree(frame.seal, leaves, frame.complement);
    if (tree === null) return this.#ports.onRejected(peer, "invalid-signature");
    if (!(await verification.allHold(obligations))) return this.#ports.onRejected(peer, "invalid-evidence");
    const seal = verification.kept(frame.seal, tree.root);
    await this.#ports.onBundles(
      stored.map(({ bundle, index }) => ({ ...bundle, proof: proofIn(seal, tree, index) })),
      frame.seal.signer,
    );
  }

  async #onRelayed(peer: NodeId, lane: Lane, frame: RelayedFrame): Promise<void> {
    const { network, verification } = this.#ports;
    const engine = this.#ports.engine();
    for (const proven of frame.messages) {
      const { signer } = proven.proof.seal;
      if (!network.set.has(signer)) {
        // A validator that is none any more here may be one yet for a peer that lags, and the other way round.
        if (frame.epoch !== network.set.epoch || network.set.knows(signer)) continue;
        return this.#ports.onRejected(peer, "unknown-signer");
      }
      if (lane === "dissemination") {
        const bundle = this.#decodeBundle(proven.body);
        if (bundle === null) return this.#ports.onRejected(peer, "malformed-bundle");
        if (!this.#ports.isBundleWanted(bundle, () => holdBundle(network, bundle).ref.digest)) continue;
        const stored = await this.openBundle(proven);
        if (stored === null) {
          if (commandVerdict(network, bundle).kind === "ignore") continue;
          return this.#ports.onRejected(peer, "invalid-bundle");
        }
        await this.#ports.onBundles([stored], network.set.indexOf(peer));
        continue;
      }
      const opened = this.#openMessage(peer, signer, proven.body);
      if (opened === null) return;
      if (!opened.wanted) continue;
      const inner = engine.wire.obligationsOf(opened.message);
      if (inner === null) return this.#ports.onRejected(peer, "malformed-certificate");
      const holds = await verification.allHold([{ leaf: opened.leaf, proof: proven.proof }, ...inner]);
      if (!holds) return this.#ports.onRejected(peer, "invalid-certificate");
      this.#deliver(engine, { message: opened.message, proof: proven.proof });
    }
  }

  /** Null where the frame is to be dropped whole. */
  #openMessage(peer: NodeId, signer: ValidatorIndex, body: Uint8Array): Opened<M> | null {
    const { network } = this.#ports;
    const engine = this.#ports.engine();
    let message: M;
    try {
      message = engine.wire.decode(body);
    } catch (error) {
      this.#ports.onRejected(peer, `malformed-message: ${String(error)}`);
      return null;
    }
    const verdict = engine.screen(signer, message);
    if (verdict.kind === "reject") {
      this.#ports.onRejected(peer, verdict.reason);
      return null;
    }
    if (verdict.kind === "ignore") this.#ports.onIgnored(peer, verdict.reason);
    const leaf = statementDigest(network, engine.wire.statementOf(message));
    return { message, leaf, wanted: verdict.kind === "accept" };
  }

  /** A status may be answered with many signed messages: a peer gets so many answers and no more. */
  #asksTooOften(peer: NodeId): boolean {
    const nowMs = this.#ports.monotonicMs();
    let bucket = this.#statusBuckets.get(peer);
    if (bucket === undefined) {
      if (this.#statusBuckets.size >= STATUS_PEERS_MAX) this.#statusBuckets.clear();
      bucket = new TokenBucket({ rate: STATUS_PER_SECOND, burst: STATUS_BURST, nowMs });
      this.#statusBuckets.set(peer, bucket);
    }
    return !bucket.tryTake(1, nowMs);
  }

  #isWellFormed({ lanes }: StatusFrame): boolean {
    return lanes.length === this.#ports.network.set.roster.length;
  }

  #decodeBundle(body: Uint8Array): Bundle | null {
    try {
      const bundle = decode(bundleCodec, body);
      if (bundleFault(this.#ports.network, bundle) !== null) return null;
      const foreign = this.#ports.isLeaderless ? ["application"] : ["dag", "resolution"];
      if (foreign.includes(bundle.purpose)) return null;
      const isOpen = bundle.purpose !== "dag" || bundle.payloads.every((payload) => openEnvelope(payload) !== null);
      return isOpen ? bundle : null;
    } catch {
      return null;
    }
  }
}
