import { randomBytes } from "node:crypto";
import { connect, type QuicSession, type QuicStream } from "node:quic";
import { generateKeyPair, type NodeKeyPair } from "../../src/crypto/key-pair.ts";
import { importPublicKeys } from "../../src/crypto/public-keys.ts";
import { createVerifier } from "../../src/crypto/verifier.ts";
import type { Hash } from "../../src/lib/hash.ts";
import { channelBinding } from "../../src/network/exporter.ts";
import { performHandshake } from "../../src/network/handshake-driver.ts";
import { ALPN } from "../../src/network/quic-transport.ts";

const verifier = createVerifier({ hybrid: true });

/** A client of node:quic that keeps to QUIC and TLS, and to nothing above them. */
export class QuicAttacker {
  readonly session: QuicSession;
  /** Settles when the session ended, whoever ended it. */
  readonly closed: Promise<void>;
  readonly #binding: Promise<Uint8Array>;

  private constructor(session: QuicSession, binding: Promise<Uint8Array>) {
    this.session = session;
    this.#binding = binding;
    this.closed = session.closed.catch(() => undefined);
  }

  /** Up to the end of the TLS handshake. */
  static async connected(port: number): Promise<QuicAttacker> {
    const binding = Promise.withResolvers<Uint8Array>();
    const session = await connect(`127.0.0.1:${port}`, {
      alpn: ALPN,
      groups: "X25519MLKEM768",
      servername: "cretoai",
      verifyPeer: "manual",
      reuseEndpoint: false,
      keylog: true,
      streamIdleTimeout: 0,
      onkeylog: (line) => {
        const value = channelBinding(line);
        if (value !== null) binding.resolve(value);
      },
      onerror: () => undefined,
    });
    const attacker = new QuicAttacker(session, binding.promise);
    session.onstream = quiet;
    await session.opened.catch(() => undefined);
    return attacker;
  }

  /** With a correct handshake, by keys that are admitted. */
  static async authenticated(port: number, genesis: Hash): Promise<QuicAttacker> {
    const attacker = await QuicAttacker.connected(port);
    await attacker.authenticate(genesis, generateKeyPair({ hybrid: true }));
    return attacker;
  }

  async authenticate(genesis: Hash, keys: NodeKeyPair): Promise<void> {
    const stream = await this.bidi();
    await performHandshake(
      stream,
      {
        role: "dialer",
        nodeId: keys.nodeId,
        publicKeys: keys.publicKeys,
        genesis,
        hybrid: true,
        nonce: Uint8Array.from(randomBytes(32)),
        incarnation: 1,
        expected: null,
        refuse: () => null,
      },
      this.#binding,
      {
        sign: (message) => keys.sign(message),
        verify: (peer, message, signature) => verifier.verify(importPublicKeys(peer), message, signature),
      },
    );
  }

  async bidi(): Promise<QuicStream> {
    return quiet(await this.session.createBidirectionalStream());
  }

  async uni(): Promise<QuicStream> {
    return quiet(await this.session.createUnidirectionalStream());
  }

  end(): void {
    if (!this.session.destroyed) this.session.destroy(undefined, { code: 0, type: "application" });
  }
}

/** Hands bytes to a stream, as far as it takes them now; false where it took none. */
export function write(stream: QuicStream, ...parts: readonly Uint8Array[]): boolean {
  try {
    return stream.writer.writeSync(Uint8Array.from(Buffer.concat(parts)));
  } catch {
    // The other side ended the stream: that is what it should do.
    return false;
  }
}

/** RESET_STREAM, and STOP_SENDING where the peer may write. */
export function reset(stream: QuicStream): void {
  if (!stream.destroyed) stream.destroy(undefined, { code: 7 });
}

export function ended(stream: QuicStream): Promise<void> {
  return stream.closed.catch(() => undefined);
}

function quiet(stream: QuicStream): QuicStream {
  stream.onerror = () => undefined;
  stream.closed.catch(() => undefined);
  return stream;
}
