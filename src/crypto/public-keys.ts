import type { KeyObject } from "node:crypto";
import { assert } from "../lib/assert.ts";
import type { NodeId, PublicKeys } from "./identity.ts";
import { publicKeyFrom } from "./native-keys.ts";
import { ED25519_PUBLIC_KEY_BYTES, ML_DSA_87_PUBLIC_KEY_BYTES } from "./signature.ts";

/** Public keys in the library's own form: parsed once, used for many signatures. */
export interface ImportedPublicKeys {
  readonly mlDsa: KeyObject;
  readonly ed25519: KeyObject | null;
}

/** Bytes that are no public key. They may come from a peer: treat it as the peer's fault. */
export class PublicKeyError extends Error {
  override readonly name = "PublicKeyError";
  readonly code: "wrong-length" | "not-a-key";

  constructor(code: PublicKeyError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** @throws PublicKeyError */
export function importPublicKeys(keys: PublicKeys): ImportedPublicKeys {
  checkLength("ML-DSA-87", keys.mlDsa, ML_DSA_87_PUBLIC_KEY_BYTES);
  if (keys.ed25519 !== null) checkLength("Ed25519", keys.ed25519, ED25519_PUBLIC_KEY_BYTES);
  try {
    return {
      mlDsa: publicKeyFrom(keys.mlDsa, "ml-dsa-87"),
      ed25519: keys.ed25519 === null ? null : publicKeyFrom(keys.ed25519, "ed25519"),
    };
  } catch (cause) {
    throw new PublicKeyError("not-a-key", "the library refuses a public key; ask the peer for its key again", {
      cause,
    });
  }
}

/**
 * The parsed keys of the nodes heard from last. Parsing an ML-DSA-87 key costs about half as much as one verification.
 *
 * Invariant: at most `capacity` entries, in the order of last use (a `Map` keeps the order of insertion).
 */
export class PublicKeyCache {
  readonly #entries = new Map<NodeId, ImportedPublicKeys>();
  readonly #capacity: number;

  constructor(capacity: number) {
    assert(Number.isSafeInteger(capacity) && capacity > 0, `a cache for ${capacity} keys`);
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(nodeId: NodeId): boolean {
    return this.#entries.has(nodeId);
  }

  /**
   * The parsed form of `keys`, whose node id the caller has checked.
   * @throws PublicKeyError
   */
  get(nodeId: NodeId, keys: PublicKeys): ImportedPublicKeys {
    const imported = this.#entries.get(nodeId) ?? importPublicKeys(keys);
    this.#entries.delete(nodeId);
    this.#entries.set(nodeId, imported);
    if (this.#entries.size > this.#capacity) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    return imported;
  }

  delete(nodeId: NodeId): void {
    this.#entries.delete(nodeId);
  }
}

function checkLength(algorithm: string, key: Uint8Array, size: number): void {
  if (key.length === size) return;
  throw new PublicKeyError("wrong-length", `an ${algorithm} public key has ${size} bytes, not ${key.length}`);
}
