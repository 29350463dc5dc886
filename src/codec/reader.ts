import { type Hash, toHash } from "../lib/hash.ts";

export type DecodeErrorCode =
  | "short"
  | "trailing-bytes"
  | "length-over-limit"
  | "number-over-limit"
  | "unknown-variant"
  | "not-canonical"
  | "not-utf8";

/** Bytes that are not the canonical encoding of any value of the wanted type. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
  readonly code: DecodeErrorCode;
  readonly offset: number;

  constructor(code: DecodeErrorCode, offset: number, message: string) {
    super(`${message} at byte ${offset}`);
    this.code = code;
    this.offset = offset;
  }
}

/** A cursor over bytes that may lie. Every step checks before it reads, and nothing is allocated for a claimed length. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** Refuses numbers from 2^53 on, which JavaScript cannot hold exactly. */
  u64(): number {
    const at = this.#take(8);
    const high = this.#view.getUint32(at + 4, true);
    if (high > 0x1f_ffff) this.fail("number-over-limit", "a number of 2^53 or more", at);
    return high * 0x1_0000_0000 + this.#view.getUint32(at, true);
  }

  /** A view of the next `size` bytes. */
  bytes(size: number): Uint8Array {
    const at = this.#take(size);
    return this.#bytes.subarray(at, at + size);
  }

  hash(): Hash {
    return toHash(this.bytes(32));
  }

  /** The bytes from `from` up to the cursor, as a view. */
  since(from: number): Uint8Array {
    return this.#bytes.subarray(from, this.#offset);
  }

  end(): void {
    if (this.remaining !== 0) this.fail("trailing-bytes", `${this.remaining} bytes too many`);
  }

  fail(code: DecodeErrorCode, message: string, offset: number = this.#offset): never {
    throw new DecodeError(code, offset, message);
  }

  #take(size: number): number {
    const at = this.#offset;
    if (size > this.#bytes.length - at) this.fail("short", `${size} bytes wanted, ${this.#bytes.length - at} left`);
    this.#offset = at + size;
    return at;
  }
}
