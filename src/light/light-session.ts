import { verifyPortably } from "../crypto/portable-signatures.ts";
import { isHash } from "../lib/hash.ts";
import { followEpochs } from "./epochs.ts";
import { decodeProof, epochOf, verifyProof } from "./finality-proof.ts";
import { LightError } from "./light-error.ts";
import { decodeTrusted, encodeTrusted, type Trusted } from "./trusted.ts";
import type { FinalityVerdict } from "./verdict.ts";

/**
 * What one who trusts no node keeps: the validators that it believes, as they change. It asks nobody; whoever holds it brings
 * it what nodes say, and it believes what a quorum signed.
 */
export class LightSession {
  #trusted: Trusted;

  constructor(trusted: Trusted) {
    this.#trusted = trusted;
  }

  /** @throws LightError `malformed` */
  static from(bytes: Uint8Array): LightSession {
    return new LightSession(decodeTrusted(bytes));
  }

  /** The epoch whose validators are believed. */
  get epoch(): number {
    return this.#trusted.membership.epoch;
  }

  get genesis(): string {
    return this.#trusted.genesis;
  }

  /** To be kept for the next session. */
  encode(): Uint8Array {
    return encodeTrusted(this.#trusted);
  }

  /** Takes over the links from this session's epoch on. @throws LightError; it stays as it was */
  follow(links: readonly Uint8Array[]): void {
    this.#trusted = followEpochs(this.#trusted, links, verifyPortably);
  }

  /** Whether links to later epochs are needed before this proof can be checked. @throws LightError `malformed` */
  isBehind(proof: Uint8Array): boolean {
    return epochOf(decodeProof(proof)) > this.epoch;
  }

  /** @throws LightError where it is not proved that the vertex of this hash is final */
  verify(hash: string, proof: Uint8Array): FinalityVerdict {
    if (!isHash(hash)) throw new LightError("wrong-vertex", `${hash} is no hash: 64 lower-case hexadecimal digits`);
    return verifyProof(this.#trusted, hash, decodeProof(proof), verifyPortably);
  }
}
