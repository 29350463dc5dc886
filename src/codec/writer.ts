import { type Hash, putHash } from "../lib/hash.ts";

/** A growing byte buffer with the primitive encodings. */
export class Writer {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(Math.max(16, capacity));
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#take(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#take(2);
    this.#bytes[at] = value;
    this.#bytes[at + 1] = value >>> 8;
  }

  u32(value: number): void {
    this.#put32(this.#take(4), value);
  }

  /** A whole number from 0 to 2^53 - 1, as eight bytes. */
  u64(value: number): void {
    const at = this.#take(8);
    this.#put32(at, value % 0x1_0000_0000);
    this.#put32(at + 4, Math.floor(value / 0x1_0000_0000));
  }

  bytes(value: Uint8Array): void {
    const at = this.#take(value.length);
    this.#bytes.set(value, at);
  }

  hash(value: Hash): void {
    const at = this.#take(32);
    putHash(this.#bytes.subarray(at, at + 32), value);
  }

  /** What was written, as a view; the writer must not be used afterwards. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** By hand: a DataView needs the array's `buffer`, which costs the engine more than these four stores. */
  #put32(at: number, value: number): void {
    this.#bytes[at] = value;
    this.#bytes[at + 1] = value >>> 8;
    this.#bytes[at + 2] = value >>> 16;
    this.#bytes[at + 3] = value >>> 24;
  }

  #take(size: number): number {
    const at = this.#length;
    const end = at + size;
    if (end > this.#bytes.length) this.#grow(end);
    this.#length = end;
    return at;
  }

  #grow(size: number): void {
    const bytes = new Uint8Array(Math.max(size, this.#bytes.length * 2));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
  }
}
