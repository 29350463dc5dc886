import { type Codec, decode, encode } from "../codec/codec.ts";
import { option, union, variant } from "../codec/composites.ts";
import { fixedBytes, hash, string, u16, u64 } from "../codec/primitives.ts";
import { Writer } from "../codec/writer.ts";
import { type NodeId, nodeIdOf, type PublicKeys } from "../crypto/identity.ts";
import {
  ED25519_PUBLIC_KEY_BYTES,
  ED25519_SIGNATURE_BYTES,
  type HybridSignature,
  ML_DSA_87_PUBLIC_KEY_BYTES,
  ML_DSA_87_SIGNATURE_BYTES,
} from "../crypto/signature.ts";
import { asciiBytes } from "../lib/ascii.ts";
import { unreachable } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";

/**
 * How two nodes prove to each other who they are, on the first bidirectional stream of a QUIC session:
 *
 *   dialer   -> hello                 (idempotent: may travel as 0-RTT data)
 *   listener -> hello, proof          proof = signature over the transcript
 *   dialer   -> proof
 *   listener -> welcome
 *
 * Each side may answer `refusal` instead, and both then close. The transcript names the signer's role, both node ids and
 * nonces, the network, the version, and the TLS exporter value (RFC 8446 §7.5, RFC 9266): the session's own secret, equal
 * at both ends and different on the two sides of anybody in between. The exporter is what makes the authentication as
 * strong as the hybrid key exchange, and a signature of one session worthless in every other.
 *
 * Invariant: `established` is said only after the peer's signature over this very session verified.
 */

export const PROTOCOL_VERSION = 1;

export const NONCE_BYTES = 32;

/** An encoded message; a hello is the largest with 2.7 KB, a proof with 4.7 KB. */
export const HANDSHAKE_MESSAGE_BYTES_MAX = 8_192;

export type Role = "dialer" | "listener";

export type RefusalCode =
  | "version"
  | "genesis"
  | "not-admitted"
  | "banned"
  | "self"
  | "too-many-peers"
  | "signature"
  | "protocol"
  | "unexpected-identity"
  | "hybrid-mode";

export interface Hello {
  readonly kind: "hello";
  readonly version: number;
  readonly genesis: Hash;
  readonly mlDsa: Uint8Array;
  readonly ed25519: Uint8Array | null;
  readonly nonce: Uint8Array;
  /** Drawn anew by each run of the process: tells a restarted peer from a second connection of the same run. */
  readonly incarnation: number;
}

interface ProofMessage {
  readonly kind: "proof";
  readonly mlDsa: Uint8Array;
  readonly ed25519: Uint8Array | null;
}

interface Welcome {
  readonly kind: "welcome";
}

interface Refusal {
  readonly kind: "refusal";
  readonly code: string;
}

type HandshakeMessage = Hello | ProofMessage | Welcome | Refusal;

const messageCodec: Codec<HandshakeMessage> = union<HandshakeMessage>({
  hello: variant<Hello>("hello", {
    version: u16,
    genesis: hash,
    mlDsa: fixedBytes(ML_DSA_87_PUBLIC_KEY_BYTES),
    ed25519: option(fixedBytes(ED25519_PUBLIC_KEY_BYTES)),
    nonce: fixedBytes(NONCE_BYTES),
    incarnation: u64,
  }),
  proof: variant<ProofMessage>("proof", {
    mlDsa: fixedBytes(ML_DSA_87_SIGNATURE_BYTES),
    ed25519: option(fixedBytes(ED25519_SIGNATURE_BYTES)),
  }),
  welcome: variant<Welcome>("welcome", {}),
  refusal: variant<Refusal>("refusal", { code: string(64) }),
});

export interface HandshakeOptions {
  readonly role: Role;
  readonly nodeId: NodeId;
  readonly publicKeys: PublicKeys;
  readonly genesis: Hash;
  readonly hybrid: boolean;
  /** 32 unpredictable bytes for this session. */
  readonly nonce: Uint8Array;
  readonly incarnation: number;
  /** Whom the dialer means to reach; null where it only has an address. */
  readonly expected: NodeId | null;
  /** Why this peer may not connect; null where it may. */
  readonly refuse: (peer: NodeId) => RefusalCode | null;
}

export interface PeerIdentity {
  readonly nodeId: NodeId;
  readonly publicKeys: PublicKeys;
  readonly incarnation: number;
}

export type HandshakeEvent =
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  /** The TLS handshake is complete; `binding` is its exporter value. */
  | { readonly kind: "bound"; readonly binding: Uint8Array }
  | { readonly kind: "signed"; readonly signature: HybridSignature }
  | { readonly kind: "verified"; readonly holds: boolean };

export type HandshakeEffect =
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  | { readonly kind: "sign"; readonly transcript: Uint8Array }
  | {
      readonly kind: "verify";
      readonly keys: PublicKeys;
      readonly transcript: Uint8Array;
      readonly signature: HybridSignature;
    }
  | { readonly kind: "established"; readonly peer: PeerIdentity }
  | { readonly kind: "failed"; readonly code: RefusalCode; readonly by: "us" | "peer" };

/** One side's handshake as a pure state machine: events in, effects out, no socket and no clock. */
export class Handshake {
  readonly #options: HandshakeOptions;
  #binding: Uint8Array | null = null;
  #peer: (PeerIdentity & { readonly nonce: Uint8Array }) | null = null;
  #peerProof: HybridSignature | null = null;
  #proofSent = false;
  #signing = false;
  #verifying = false;
  #verified = false;
  #done = false;

  constructor(options: HandshakeOptions) {
    this.#options = options;
  }

  /** The dialer speaks first. */
  start(): readonly HandshakeEffect[] {
    return this.#options.role === "dialer" ? [this.#hello()] : [];
  }

  step(event: HandshakeEvent): readonly HandshakeEffect[] {
    if (this.#done) return [];
    switch (event.kind) {
      case "message":
        return this.#onBytes(event.bytes);
      case "bound":
        this.#binding ??= event.binding;
        return this.#proceed();
      case "signed":
        return this.#onSigned(event.signature);
      case "verified":
        this.#verified = event.holds;
        return event.holds ? this.#onVerified() : this.#refuse("signature");
      default:
        return unreachable(event);
    }
  }

  #onBytes(bytes: Uint8Array): readonly HandshakeEffect[] {
    let message: HandshakeMessage;
    try {
      message = decode(messageCodec, bytes);
    } catch {
      return this.#refuse("protocol");
    }
    switch (message.kind) {
      case "hello":
        return this.#onHello(message);
      case "proof":
        if (this.#peer === null || this.#peerProof !== null) return this.#refuse("protocol");
        this.#peerProof = { mlDsa: message.mlDsa, ed25519: message.ed25519 };
        return this.#proceed();
      case "welcome":
        return this.#onWelcome();
      case "refusal":
        this.#done = true;
        return [{ kind: "failed", code: refusalCode(message.code), by: "peer" }];
      default:
        return unreachable(message);
    }
  }

  #onHello(hello: Hello): readonly HandshakeEffect[] {
    if (this.#peer !== null) return this.#refuse("protocol");
    if (hello.version !== PROTOCOL_VERSION) return this.#refuse("version");
    if (hello.genesis !== this.#options.genesis) return this.#refuse("genesis");
    if ((hello.ed25519 !== null) !== this.#options.hybrid) return this.#refuse("hybrid-mode");
    const publicKeys = { mlDsa: hello.mlDsa, ed25519: hello.ed25519 };
    const nodeId = nodeIdOf(publicKeys);
    if (nodeId === this.#options.nodeId) return this.#refuse("self");
    const { expected, role } = this.#options;
    if (expected !== null && expected !== nodeId) return this.#refuse("unexpected-identity");
    const refusal = this.#options.refuse(nodeId);
    if (refusal !== null) return this.#refuse(refusal);
    this.#peer = { nodeId, publicKeys, incarnation: hello.incarnation, nonce: hello.nonce };
    return role === "listener" ? [this.#hello(), ...this.#proceed()] : this.#proceed();
  }

  /** Signs and verifies as soon as both hellos and the binding are there; the dialer signs after it has verified. */
  #proceed(): readonly HandshakeEffect[] {
    if (this.#binding === null || this.#peer === null) return [];
    const effects: HandshakeEffect[] = [];
    const { role } = this.#options;
    if (role === "listener" && !this.#signing) {
      this.#signing = true;
      effects.push({ kind: "sign", transcript: this.#transcript("listener") });
    }
    const mayVerify = role === "dialer" || this.#proofSent;
    if (this.#peerProof !== null && !this.#verifying && mayVerify) {
      this.#verifying = true;
      const transcript = this.#transcript(role === "dialer" ? "listener" : "dialer");
      effects.push({ kind: "verify", keys: this.#peer.publicKeys, transcript, signature: this.#peerProof });
    }
    return effects;
  }

  #onSigned(signature: HybridSignature): readonly HandshakeEffect[] {
    this.#proofSent = true;
    const proof: ProofMessage = { kind: "proof", mlDsa: signature.mlDsa, ed25519: signature.ed25519 };
    return [{ kind: "send", bytes: encode(messageCodec, proof) }, ...this.#proceed()];
  }

  #onVerified(): readonly HandshakeEffect[] {
    if (this.#options.role === "dialer") {
      this.#signing = true;
      return [{ kind: "sign", transcript: this.#transcript("dialer") }];
    }
    const welcome: HandshakeEffect = { kind: "send", bytes: encode(messageCodec, { kind: "welcome" }) };
    return [welcome, ...this.#establish()];
  }

  #onWelcome(): readonly HandshakeEffect[] {
    const isDue = this.#options.role === "dialer" && this.#verified && this.#proofSent;
    return isDue ? this.#establish() : this.#refuse("protocol");
  }

  #establish(): readonly HandshakeEffect[] {
    const peer = this.#peer;
    if (peer === null || !this.#verified) return this.#refuse("protocol");
    this.#done = true;
    const { nodeId, publicKeys, incarnation } = peer;
    return [{ kind: "established", peer: { nodeId, publicKeys, incarnation } }];
  }

  #refuse(code: RefusalCode): readonly HandshakeEffect[] {
    this.#done = true;
    return [
      { kind: "send", bytes: encode(messageCodec, { kind: "refusal", code }) },
      { kind: "failed", code, by: "us" },
    ];
  }

  #hello(): HandshakeEffect {
    const { genesis, publicKeys, nonce, incarnation } = this.#options;
    const hello: Hello = { kind: "hello", version: PROTOCOL_VERSION, genesis, ...publicKeys, nonce, incarnation };
    return { kind: "send", bytes: encode(messageCodec, hello, HANDSHAKE_MESSAGE_BYTES_MAX) };
  }

  /** What is signed. The role keeps a signature from being reflected, the ids keep it from being forwarded. */
  #transcript(signer: Role): Uint8Array {
    const { role, nodeId, nonce, genesis, incarnation } = this.#options;
    const peer = this.#peer;
    const binding = this.#binding;
    if (peer === null || binding === null) throw new Error("a transcript needs both hellos and the binding");
    const own = { nodeId, nonce, incarnation };
    const [dialer, listener] = role === "dialer" ? [own, peer] : [peer, own];
    const writer = new Writer(512);
    writer.bytes(TRANSCRIPT_TAG);
    writer.u8(signer === "dialer" ? 0 : 1);
    writer.u16(PROTOCOL_VERSION);
    writer.hash(genesis);
    for (const side of [dialer, listener]) {
      writer.hash(side.nodeId);
      writer.bytes(side.nonce);
      writer.u64(side.incarnation);
    }
    writer.u64(binding.length);
    writer.bytes(binding);
    return writer.finish();
  }
}

const TRANSCRIPT_TAG = asciiBytes("cretoai/v1/handshake\0");

const REFUSAL_CODES: readonly RefusalCode[] = [
  "version",
  "genesis",
  "not-admitted",
  "banned",
  "self",
  "too-many-peers",
  "signature",
  "protocol",
  "unexpected-identity",
  "hybrid-mode",
];

/** A peer's word; whatever we do not know is a breach of the protocol. */
function refusalCode(text: string): RefusalCode {
  return REFUSAL_CODES.find((code) => code === text) ?? "protocol";
}
