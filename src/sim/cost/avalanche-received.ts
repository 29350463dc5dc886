import { decode, encode } from "../../codec/codec.ts";
import {
  type AvalancheMessage,
  decodeMessage,
  encodeMessage,
  statementOf,
} from "../../consensus/avalanche/messages.ts";
import { MerkleTree } from "../../crypto/merkle.ts";
import { ED25519_SIGNATURE_BYTES, ML_DSA_87_SIGNATURE_BYTES } from "../../crypto/signature.ts";
import { bundleCodec, bundleStatement, type HeldBundle, holdBundle } from "../../dag/bundle.ts";
import { assert, present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { proofIn, type Seal, type Signed } from "../../membership/seal.ts";
import { statementDigest } from "../../membership/statement.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { KeptSeals } from "../../node/kept-seals.ts";
import { frameCodec, frameSizeHint, type SealedFrame } from "../../node/wire.ts";
import type { Parcel, Said } from "./avalanche-turn.ts";

export interface Opened {
  readonly messages: readonly Signed<AvalancheMessage>[];
  readonly bundles: readonly HeldBundle[];
}

/** One statement in a frame: its bytes, and what stands for it in the frames of others. */
interface Statement {
  readonly body: Uint8Array;
  readonly leaf: Hash;
}

const statements = new WeakMap<Said, Statement>();

/**
 * What a node in a process of its own holds of others' turns: for measuring memory. Each turn comes in frames with a real
 * seal's bytes, is decoded, and gets its proofs as in node/inbound.ts and node/verification.ts, but for the check of the signature.
 */
export class Received {
  readonly #network: NetworkContext;
  readonly #seals = new KeptSeals();
  /** As node/verification.ts keeps the tree of each signer's last turn. */
  readonly #trees = new Map<ValidatorIndex, { readonly leaves: readonly Hash[]; readonly tree: MerkleTree }>();

  constructor(network: NetworkContext) {
    this.#network = network;
  }

  open({ from, said, frames }: Parcel): Opened {
    const messages: Signed<AvalancheMessage>[] = [];
    const bundles: HeldBundle[] = [];
    const signature = {
      mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES),
      ed25519: new Uint8Array(ED25519_SIGNATURE_BYTES),
    };
    const seal: Seal = { signer: from, leafCount: said.length, signature };
    for (const inFull of frames) {
      const included = new Set(inFull);
      const items = said.map((each) => {
        const { body, leaf } = this.#statementOf(each);
        return included.has(each) ? ({ kind: "body", body } as const) : ({ kind: "leaf", leaf } as const);
      });
      const frame: SealedFrame = { kind: "sealed", epoch: this.#network.set.epoch, seal, items };
      const bytes = encode(frameCodec, frame, frameSizeHint(frame));
      if (areBundles(inFull)) bundles.push(...this.#bundlesIn(bytes));
      else messages.push(...this.#messagesIn(bytes));
    }
    return { messages, bundles };
  }

  /** A bundle that was asked for. */
  copyOf(held: HeldBundle): HeldBundle {
    return holdBundle(this.#network, decode(bundleCodec, encode(bundleCodec, held.bundle)));
  }

  #bundlesIn(bytes: Uint8Array): readonly HeldBundle[] {
    const { items } = sealed(bytes);
    return items.flatMap((item) =>
      item.kind === "body" ? [holdBundle(this.#network, decode(bundleCodec, item.body.slice()))] : [],
    );
  }

  #messagesIn(bytes: Uint8Array): readonly Signed<AvalancheMessage>[] {
    const { seal, items } = sealed(bytes);
    const messages: { readonly message: AvalancheMessage; readonly index: number }[] = [];
    const leaves = items.map((item, index) => {
      if (item.kind === "leaf") return item.leaf;
      const message = decodeMessage(item.body);
      messages.push({ message, index });
      return statementDigest(this.#network, statementOf(message));
    });
    const tree = this.#treeOf(seal.signer, leaves);
    if (this.#seals.get(seal, tree.root) === null) this.#seals.add(seal, tree.root);
    const kept = present(this.#seals.get(seal, tree.root), "a kept seal");
    return messages.map(({ message, index }) => ({ message, proof: proofIn(kept, tree, index) }));
  }

  #treeOf(signer: ValidatorIndex, leaves: readonly Hash[]): MerkleTree {
    const known = this.#trees.get(signer);
    if (known?.leaves.every((leaf, at) => leaf === leaves[at]) === true) return known.tree;
    const tree = new MerkleTree(leaves);
    this.#trees.set(signer, { leaves, tree });
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
