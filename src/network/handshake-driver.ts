import type { QuicStream } from "node:quic";
import type { PublicKeys } from "../crypto/identity.ts";
import type { HybridSignature } from "../crypto/signature.ts";
import {
  Handshake,
  type HandshakeEffect,
  type HandshakeOptions,
  HANDSHAKE_MESSAGE_BYTES_MAX,
  type PeerIdentity,
  type RefusalCode,
} from "../peering/handshake.ts";
import { MessageAssembler, messageHeader } from "./message-assembler.ts";
import { StreamWriter } from "./stream-writer.ts";

export interface HandshakeCrypto {
  sign(message: Uint8Array): Promise<HybridSignature>;
  verify(keys: PublicKeys, message: Uint8Array, signature: HybridSignature): Promise<boolean>;
}

/** The peers did not come to terms. */
export class HandshakeFailed extends Error {
  override readonly name = "HandshakeFailed";
  readonly code: RefusalCode;
  readonly by: "us" | "peer";

  constructor(code: RefusalCode, by: "us" | "peer") {
    super(by === "us" ? `this node refused the peer: ${code}` : `the peer refused this node: ${code}`);
    this.code = code;
    this.by = by;
  }
}

/**
 * Performs the pure handshake over the session's first bidirectional stream. Resolves with the proved identity.
 * @throws HandshakeFailed, or the stream's error
 */
export async function performHandshake(
  stream: QuicStream,
  options: HandshakeOptions,
  binding: Promise<Uint8Array>,
  crypto: HandshakeCrypto,
): Promise<PeerIdentity> {
  const machine = new Handshake(options);
  const writer = new StreamWriter(stream, () => undefined);
  const outcome = Promise.withResolvers<PeerIdentity>();
  let sending = Promise.resolve();
  const perform = (effects: readonly HandshakeEffect[]): void => {
    for (const effect of effects) {
      switch (effect.kind) {
        case "send":
          sending = sending.then(() => writer.write(Buffer.concat([messageHeader(effect.bytes.length), effect.bytes])));
          sending.catch((error: unknown) => outcome.reject(error));
          break;
        case "sign":
          crypto
            .sign(effect.transcript)
            .then((signature) => perform(machine.step({ kind: "signed", signature })), outcome.reject);
          break;
        case "verify":
          crypto
            .verify(effect.keys, effect.transcript, effect.signature)
            .then((holds) => perform(machine.step({ kind: "verified", holds })), outcome.reject);
          break;
        case "established":
          sending.then(() => outcome.resolve(effect.peer), outcome.reject);
          break;
        case "failed":
          // The refusal goes out before the session is closed over it.
          sending.finally(() => outcome.reject(new HandshakeFailed(effect.code, effect.by))).catch(() => undefined);
          break;
      }
    }
  };
  perform(machine.start());
  binding.then((value) => perform(machine.step({ kind: "bound", binding: value })), outcome.reject);
  readMessages(stream, (bytes) => perform(machine.step({ kind: "message", bytes }))).then(
    () => outcome.reject(new Error("the peer ended the handshake")),
    outcome.reject,
  );
  return await outcome.promise;
}

async function readMessages(stream: QuicStream, onMessage: (bytes: Uint8Array) => void): Promise<void> {
  const assembler = new MessageAssembler(HANDSHAKE_MESSAGE_BYTES_MAX);
  for await (const chunks of stream) {
    for (const chunk of chunks) for (const message of assembler.push(chunk)) onMessage(message);
  }
}
