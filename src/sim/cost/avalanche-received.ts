import { decode, encode } from "../../codec/codec.ts";
import {
  type AvalancheMessage,
  decodeMessage,
  encodeMessage,
  statementOf,
} from "../../consensus/avalanche/messages.ts";
import { MerkleTree } from "../../crypto/merkle.ts";
import { PartialTree } from "../../crypto/partial-tree.ts";
import { ED25519_SIGNATURE_BYTES, ML_DSA_87_SIGNATURE_BYTES } from "../../crypto/signature.ts";
import { bundleCodec, bundleStatement, type HeldBundle, holdBundle } from "../../dag/bundle.ts";
import { assert, present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import { proofIn, type Seal, type Signed } from "../../membership/seal.ts";
import { statementDigest } from "../../membership/statement.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { KeptSeals } from "../../node/kept-seals.ts";
import { frameCodec, frameSizeHint, type SealedFrame } from "../../node/wire.ts";
import type { MemoryTape, Opened, ReceivedFrame } from "./avalanche-memory-tape.ts";
import type { Parcel, Said } from "./avalanche-turn.ts";

/** One statement in a frame: its bytes, and what stands for it in the frames of others. */
interface Statement {
  readonly body: Uint8Array;
  readonly leaf: Hash;
}

const statements = new WeakMap<Said, Statement>();

/** The tree of a turn, which its sender has. */
const trees = new WeakMap<readonly Said[], MerkleTree>();

/**
 * What a node in a process of its own holds of others' turns: for measuring memory. Each turn comes in frames with a real
 * seal's bytes, is decoded, and gets its proofs as in node/inbound.ts and node/verification.ts, but for the check of the signature.
 */
export class Received {
  readonly #network: NetworkContext;
  readonly #seals = new KeptSeals();
  readonly #tape: MemoryTape | null;

  /** `tape` writes down the frames of each turn. */
  constructor(network: NetworkContext, tape: MemoryTape | null = null) {
    this.#network = network;
    this.#tape = tape;
  }

  open(parcel: Parcel): Opened {
    const frames = this.#framesOf(parcel);
    const opened = this.openFrames(frames);
    this.#tape?.turn(frames, opened);
    return opened;
  }

  openFrames(frames: readonly ReceivedFrame[]): Opened {
    const messages: Signed<AvalancheMessage>[] = [];
    const bundles: HeldBundle[] = [];
    for (const { isOfBundles, bytes } of frames) {
      if (isOfBundles) bundles.push(...this.#bundlesIn(bytes));
      else messages.push(...this.#messagesIn(bytes));
    }
    return { messages, bundles };
  }

  #framesOf({ from, said, frames }: Parcel): readonly ReceivedFrame[] {
    const signature = {
      mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES),
      ed25519: new Uint8Array(ED25519_SIGNATURE_BYTES),
    };
    const seal: Seal = { signer: from, leafCount: said.length, signature };
    const tree = this.#treeOf(said);
    return frames.map((inFull) => {
      const items = inFull.map((each) => ({ index: said.indexOf(each), body: this.#statementOf(each).body }));
      const complement = tree.complement(items.map(({ index }) => index));
      const frame: SealedFrame = { kind: "sealed", epoch: this.#network.set.epoch, seal, items, complement };
      return { isOfBundles: areBundles(inFull), bytes: encode(frameCodec, frame, frameSizeHint(frame)) };
    });
  }

  /** A bundle that was asked for. */
  copyOf(held: HeldBundle): HeldBundle {
    return holdBundle(this.#network, decode(bundleCodec, encode(bundleCodec, held.bundle)));
  }

  #bundlesIn(bytes: Uint8Array): readonly HeldBundle[] {
    const { items } = sealed(bytes);
    return items.map(({ body }) => holdBundle(this.#network, decode(bundleCodec, body.slice())));
  }

  #messagesIn(bytes: Uint8Array): readonly Signed<AvalancheMessage>[] {
    const { seal, items, complement } = sealed(bytes);
    const messages = items.map(({ index, body }) => ({ index, message: decodeMessage(body) }));
    const leaves = messages.map(({ index, message }) => {
      return { index, leaf: statementDigest(this.#network, statementOf(message)) };
    });
    const tree = present(PartialTree.of(seal.leafCount, leaves, complement), "a part of the turn's tree");
    if (this.#seals.get(seal, tree.root) === null) this.#seals.add(seal, tree.root);
    const kept = present(this.#seals.get(seal, tree.root), "a kept seal");
    return messages.map(({ message, index }) => ({ message, proof: proofIn(kept, tree, index) }));
  }

  #treeOf(said: readonly Said[]): MerkleTree {
    let tree = trees.get(said);
    if (tree === undefined) {
      tree = new MerkleTree(said.map((each) => this.#statementOf(each).leaf));
      trees.set(said, tree);
    }
    return tree;
  }

  #statementOf(said: Said): Statement {
    let statement = statements.get(said);
    if (statement !== undefined) return statement;
    const { content } = said;
    const isMessage = "kind" in content;
    const word = isMessage ? statementOf(content) : bundleStatement(content.ref);
    const body = isMessage ? encodeMessage(content) : encode(bundleCodec, content.bundle);
    statement = { body, leaf: statementDigest(this.#network, word) };
    statements.set(said, statement);
    return statement;
  }
}

function areBundles(inFull: readonly Said[]): boolean {
  return inFull.every(({ content }) => !("kind" in content));
}

function sealed(bytes: Uint8Array): SealedFrame {
  const frame = decode(frameCodec, bytes);
  assert(frame.kind === "sealed", "a sealed frame");
  return frame;
}
