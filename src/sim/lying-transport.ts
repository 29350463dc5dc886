import { decode, encode } from "../codec/codec.ts";
import { committedSlotCodec } from "../consensus/log-codec.ts";
import { batchDigest } from "../dag/batch.ts";
import { type Bundle, bundleCodec, bundleStatement, holdBundle } from "../dag/bundle.ts";
import { sealEnvelope } from "../dag/conflict-keys.ts";
import type { NodeId } from "../crypto/identity.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import { type Evidence, evidenceOf } from "../membership/evidence.ts";
import { membershipCommandCodec } from "../membership/membership-command.ts";
import { present } from "../lib/assert.ts";
import { proofOf, type Seal, sealedBytes } from "../membership/seal.ts";
import { type Statement, statementDigest } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { Lane, PeerInfo, SendOutcome, Transport, TransportHandler } from "../node/ports.ts";
import {
  committedAnswerCodec,
  type DagItem,
  dagAnswerCodec,
  type Frame,
  frameCodec,
  frameSizeHint,
  type Question,
  questionCodec,
} from "../node/wire.ts";
import { isAboutState, lieAboutState } from "./state-lies.ts";
import { LIARS_MARK } from "./violation.ts";
import type { AttackName } from "./plan.ts";
import type { Random } from "./random.ts";
import type { VirtualKeys } from "./virtual-keys.ts";

export interface LyingScene {
  readonly network: NetworkContext;
  readonly self: ValidatorIndex;
  readonly keys: VirtualKeys;
  readonly random: Random;
}

/** Frames kept for replay, and the share of sends with which something bad goes out as well. */
const KEPT_FRAMES_MAX = 200;
const GARBAGE_CHANCE = 0.1;
const REPLAY_CHANCE = 0.2;

/**
 * What a Byzantine validator does to bytes: garbage and damaged frames, old frames once more, forks of its own lane, lying
 * answers to those who catch up. Its connections are its own: it cannot speak in another's name.
 */
export class LyingTransport implements Transport {
  readonly #inner: Transport;
  readonly #attacks: readonly AttackName[];
  readonly #scene: LyingScene;
  readonly #kept: { readonly lane: Lane; readonly frame: Uint8Array }[] = [];
  readonly #hidden = new Map<NodeId, boolean>();
  #forked: { readonly of: Uint8Array; readonly frame: Uint8Array | null } | null = null;

  constructor(inner: Transport, attacks: readonly AttackName[], scene: LyingScene) {
    this.#inner = inner;
    this.#attacks = attacks;
    this.#scene = scene;
  }

  start(handler: TransportHandler): Promise<void> {
    return this.#inner.start({
      onPeerConnected: (peer) => handler.onPeerConnected(peer),
      onPeerDisconnected: (peer, reason) => handler.onPeerDisconnected(peer, reason),
      onFrame: (peer, lane, frame) => handler.onFrame(peer, lane, frame),
      onRequest: async (peer, body) => {
        const honest = await handler.onRequest(peer, body);
        const kind = kindOf(body);
        if (kind === "dag") return this.#claims(honest);
        if (!isAboutState(kind)) return this.#answer(honest);
        return this.#does("lie") ? lieAboutState(kind, honest, this.#scene.random) : honest;
      },
    });
  }

  send(peer: NodeId, lane: Lane, frame: Uint8Array): SendOutcome {
    const { random } = this.#scene;
    if (this.#does("garbage") && random.chance(GARBAGE_CHANCE)) this.#inner.send(peer, lane, this.#garbage(frame));
    if (this.#does("replay")) this.#replay(peer, lane, frame);
    if ((this.#does("fork-lane") || this.#does("fork-alike")) && lane === "dissemination" && random.chance(0.5)) {
      const fork = this.#forkOf(frame);
      if (fork !== null) return this.#inner.send(peer, lane, fork);
    }
    if (this.#does("hide-bundles") && lane === "dissemination" && this.#isHiddenFrom(peer)) return "queued";
    if (this.#does("false-evidence") && lane === "dissemination") {
      const accusation = this.#accusationFor(frame);
      if (accusation !== null) return this.#inner.send(peer, lane, accusation);
    }
    return this.#inner.send(peer, lane, frame);
  }

  async request(peer: NodeId, body: Uint8Array, options: { readonly timeoutMs: number }): Promise<Uint8Array> {
    return await this.#inner.request(peer, body, options);
  }

  peers(): readonly PeerInfo[] {
    return this.#inner.peers();
  }

  disconnect(peer: NodeId, reason: string): void {
    this.#inner.disconnect(peer, reason);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #does(attack: AttackName): boolean {
    return this.#attacks.includes(attack);
  }

  /** Who never gets its bundles from it, and has to ask others. */
  #isHiddenFrom(peer: NodeId): boolean {
    const known = this.#hidden.get(peer) ?? this.#scene.random.chance(0.5);
    this.#hidden.set(peer, known);
    return known;
  }

  #garbage(frame: Uint8Array): Uint8Array {
    const { random } = this.#scene;
    if (random.chance(0.3)) return Uint8Array.from({ length: random.below(200) }, () => random.below(256));
    const damaged = frame.slice(0, random.chance(0.3) ? random.below(frame.length) : frame.length);
    for (let count = random.between(1, 4); count > 0 && damaged.length > 0; count--) {
      damaged[random.below(damaged.length)] = random.below(256);
    }
    return damaged;
  }

  #replay(peer: NodeId, lane: Lane, frame: Uint8Array): void {
    const { random } = this.#scene;
    if (this.#kept.length < KEPT_FRAMES_MAX) this.#kept.push({ lane, frame });
    else this.#kept[random.below(this.#kept.length)] = { lane, frame };
    if (!random.chance(REPLAY_CHANCE)) return;
    const old = random.pick(this.#kept);
    this.#inner.send(peer, old.lane, old.frame);
  }

  /** The same nonces once more with other payloads, under a signature of its own: half of the peers get this one. */
  #forkOf(bytes: Uint8Array): Uint8Array | null {
    if (this.#forked?.of === bytes) return this.#forked.frame;
    const frame = this.#fork(bytes);
    this.#forked = { of: bytes, frame };
    return frame;
  }

  #fork(bytes: Uint8Array): Uint8Array | null {
    const isAlike = this.#does("fork-alike");
    return this.#rewrite(bytes, (bundle) => {
      const [, ...rest] = bundle.payloads;
      const other = new Uint8Array([LIARS_MARK, 1]);
      if (bundle.purpose !== "dag") return { ...bundle, purpose: "application", payloads: [other, ...rest] };
      // A place in the lane of a leaderless network; branches that end alike have one name for who hangs on them.
      const envelope = sealEnvelope({ payload: other, conflictKeys: [] });
      return { ...bundle, payloads: isAlike ? [envelope, ...rest] : [...bundle.payloads.slice(0, -1), envelope] };
    });
  }

  /** Instead of what its clients gave it, evidence against a correct validator with signatures that nobody made. */
  #accusationFor(bytes: Uint8Array): Uint8Array | null {
    if (this.#forked?.of === bytes) return this.#forked.frame;
    const { network, random, self } = this.#scene;
    const victim = random.pick(network.set.indices().filter((index) => index !== self));
    const payload = encode(membershipCommandCodec, { kind: "evidence", evidence: this.#forgedEvidence(victim) });
    const frame = random.chance(0.5)
      ? this.#rewrite(bytes, (bundle) => ({ ...bundle, purpose: "membership", payloads: [payload] }))
      : null;
    this.#forked = { of: bytes, frame };
    return frame;
  }

  #forgedEvidence(victim: ValidatorIndex): Evidence {
    const { network, keys } = this.#scene;
    const [first, second] = [1, 2].map((timestampMs) => {
      const digest = batchDigest({ timestampMs, bundles: [] });
      const statement: Statement = { phase: "commit", view: 0, sequence: 1, digest };
      const leaf = statementDigest(network, statement);
      // Its own signature in the victim's name.
      const signature = keys.sign(sealedBytes(network, victim, 1, merkleRoot([leaf])));
      return { statement, proof: proofOf({ signer: victim, leafCount: 1, signature }, [leaf], 0) };
    });
    return evidenceOf(network.set.epoch, {
      first: present(first, "a forged statement"),
      second: present(second, "a forged statement"),
    });
  }

  /** The frame with other bundles under a signature of its own. */
  #rewrite(bytes: Uint8Array, change: (bundle: Bundle) => Bundle): Uint8Array | null {
    const { network, self, keys } = this.#scene;
    const frame = decode(frameCodec, bytes);
    if (frame.kind !== "sealed") return null;
    const leaves: ReturnType<typeof statementDigest>[] = [];
    const items = frame.items.map(({ body }, index) => {
      const fork = change(decode(bundleCodec, body));
      leaves.push(statementDigest(network, bundleStatement(holdBundle(network, fork).ref)));
      return { index, body: encode(bundleCodec, fork) };
    });
    const signature = keys.sign(sealedBytes(network, self, leaves.length, merkleRoot(leaves)));
    const seal: Seal = { signer: self, leafCount: leaves.length, signature };
    const forked: Frame = { ...frame, seal, items, complement: new Uint8Array(0) };
    return encode(frameCodec, forked, frameSizeHint(forked));
  }

  /** How far the DAG is decided, made up: what is open is final, what won is lost, and some of it is not there. */
  #claims(honest: Uint8Array): Uint8Array {
    const { random } = this.#scene;
    if (!this.#does("false-claims") || random.chance(0.2)) return honest;
    const answer = decode(dagAnswerCodec, honest);
    const items = answer.items
      .filter(() => random.chance(0.9))
      .map((item): DagItem => {
        if (random.chance(0.3)) return item;
        const state = random.pick(["open", "certified", "accepted", "rejected"] as const);
        return { ...item, state, undecided: [], rejected: random.chance(0.5) ? [0] : [] };
      });
    const epoch = random.chance(0.2) ? ((answer.epoch + 1) as Epoch) : answer.epoch;
    const isLast = items.length === 0 || answer.isLast;
    return encode(dagAnswerCodec, { ...answer, epoch, items, isLast }, honest.length + 1_024);
  }

  /** State transfer that lies: nothing, a part, the wrong order, damaged bytes. */
  #answer(honest: Uint8Array): Uint8Array {
    const { random } = this.#scene;
    if (!this.#does("lie") || random.chance(0.2)) return honest;
    if (random.chance(0.3)) return this.#garbage(honest);
    try {
      const { slots, first } = decode(committedAnswerCodec, honest);
      if (random.chance(0.4))
        return encode(committedAnswerCodec, { slots: slots.map(forgedSlot), checkpoint: null, first });
      const kept = random.chance(0.5) ? slots.slice(0, 1) : [...slots].reverse();
      return encode(committedAnswerCodec, { slots: kept, checkpoint: null, first });
    } catch {
      return new Uint8Array(0);
    }
  }
}

/** What a question asks for; null where it is none. */
function kindOf(body: Uint8Array): Question["kind"] | null {
  try {
    return decode(questionCodec, body).kind;
  } catch {
    return null;
  }
}

/** Another content for a place, under the signatures that a quorum made for the right one. */
function forgedSlot(bytes: Uint8Array): Uint8Array {
  const slot = decode(committedSlotCodec, bytes);
  const batch = { ...slot.batch, bundles: [] };
  const certificate = { ...slot.certificate, digest: batchDigest(batch) };
  return encode(committedSlotCodec, { ...slot, batch, certificate });
}
