import { type KeyObject, verify as verifyOnPool } from "node:crypto";
import { availableParallelism } from "node:os";
import { JobQueue } from "./job-queue.ts";
import type { ImportedPublicKeys } from "./public-keys.ts";
import { ED25519_SIGNATURE_BYTES, type HybridSignature, ML_DSA_87_SIGNATURE_BYTES } from "./signature.ts";

/**
 * More verifications at once than this gain nothing and make everything else on the runtime's one thread pool (files,
 * DNS) wait behind them.
 */
const IN_FLIGHT_MAX = 64;

/**
 * What may wait: 20 MB of signatures, about half a second of work on two cores. The connections' backpressure keeps a
 * node well below it.
 */
const WAITING_MAX = 4096;

export interface VerifierOptions {
  /** Whether the network demands both halves of every signature. */
  readonly hybrid: boolean;
  /** Verifications under way at once; 1 to 64, by default twice the cores. */
  readonly inFlightMax?: number;
  /** Verifications that may wait; 4,096 by default. */
  readonly waitingMax?: number;
}

export interface VerifierStats {
  readonly inFlight: number;
  readonly waiting: number;
  /** Signatures answered `false` unseen because the queue was full; above 0, the node takes in more than it can check. */
  readonly refused: number;
}

export interface SignatureVerifier {
  readonly hybrid: boolean;
  /**
   * Whether these keys made this signature over these bytes; in a hybrid network both halves must hold. Never rejects:
   * whatever is malformed, and whatever finds the queue full, is false. The bytes must stay as they are until then.
   */
  verify(keys: ImportedPublicKeys, message: Uint8Array, signature: HybridSignature): Promise<boolean>;
  stats(): VerifierStats;
}

export function createVerifier(options: VerifierOptions): SignatureVerifier {
  return new PoolVerifier(options);
}

/** Verifies on the runtime's thread pool, so that the event loop spends about 20 us on a signature instead of 120 us. */
class PoolVerifier implements SignatureVerifier {
  readonly hybrid: boolean;
  readonly #queue: JobQueue;
  #refused = 0;

  constructor(options: VerifierOptions) {
    this.hybrid = options.hybrid;
    const inFlightWanted = options.inFlightMax ?? 2 * availableParallelism();
    this.#queue = new JobQueue({
      runningMax: Math.max(1, Math.min(IN_FLIGHT_MAX, inFlightWanted)),
      waitingMax: options.waitingMax ?? WAITING_MAX,
    });
  }

  async verify(keys: ImportedPublicKeys, message: Uint8Array, signature: HybridSignature): Promise<boolean> {
    if (!this.#isWellFormed(keys, signature)) return false;
    const outcome = this.#queue.run(() => verifyBoth(keys, message, signature));
    if (outcome !== null) return await outcome;
    this.#refused += 1;
    return false;
  }

  stats(): VerifierStats {
    return { inFlight: this.#queue.running, waiting: this.#queue.waiting, refused: this.#refused };
  }

  /** Everything that can be refused without arithmetic. */
  #isWellFormed(keys: ImportedPublicKeys, signature: HybridSignature): boolean {
    if (signature.mlDsa.length !== ML_DSA_87_SIGNATURE_BYTES) return false;
    if (!this.hybrid) return signature.ed25519 === null && keys.ed25519 === null;
    return keys.ed25519 !== null && signature.ed25519?.length === ED25519_SIGNATURE_BYTES;
  }
}

/** The cheap half first: a forger without the Ed25519 key costs a third of a full verification. */
async function verifyBoth(keys: ImportedPublicKeys, message: Uint8Array, signature: HybridSignature): Promise<boolean> {
  if (keys.ed25519 !== null) {
    if (signature.ed25519 === null || !(await verifyOne(keys.ed25519, message, signature.ed25519))) return false;
  }
  return await verifyOne(keys.mlDsa, message, signature.mlDsa);
}

function verifyOne(key: KeyObject, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    try {
      verifyOnPool(null, message, key, signature, (error, valid) => resolve(!error && valid === true));
    } catch {
      resolve(false);
    }
  });
}
