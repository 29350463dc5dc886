import { CretoError } from "./creto-error.ts";

/** Little-endian whole numbers, lengths of eight bytes, tags of four: how the workflow application writes and reads. */
export class ByteWriter {
  readonly #parts: Uint8Array[] = [];

  u8(value: number): this {
    return this.raw(Uint8Array.of(value));
  }

  u32(value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return this.raw(bytes);
  }

  u64(value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    return this.raw(bytes);
  }

  bytes(value: Uint8Array): this {
    return this.u64(value.length).raw(value);
  }

  text(value: string): this {
    return this.bytes(new TextEncoder().encode(value));
  }

  list<T>(values: readonly T[], write: (value: T) => void): this {
    this.u64(values.length);
    for (const value of values) write(value);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }
}

/** Every reader throws CretoError `bad-answer` where the bytes are not such. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : this.fail("a number of 2^53 or more");
  }

  flag(): boolean {
    return this.u8() !== 0;
  }

  /** A copy. */
  bytes(): Uint8Array {
    const size = this.u64();
    const at = this.#take(size);
    return this.#bytes.slice(at, at + size);
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }

  option<T>(read: () => T): T | null {
    return this.flag() ? read() : null;
  }

  list<T>(read: () => T): readonly T[] {
    const count = this.u64();
    if (count > this.#bytes.length) this.fail(`${count} elements`);
    return Array.from({ length: count }, read);
  }

  /** The word of the number that comes. */
  word<const W extends string>(words: readonly W[], at: number = this.u8()): W {
    return words[at] ?? this.fail(`word ${at} of ${words.length}`);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) this.fail(`${this.#bytes.length - this.#at} bytes too many`);
  }

  fail(what: string): never {
    const why = "is this network's application that of workflows, and of this library's version?";
    throw new CretoError("bad-answer", `an answer with ${what}: ${why}`);
  }

  #take(size: number): number {
    if (size > this.#bytes.length - this.#at) this.fail("bytes missing");
    const at = this.#at;
    this.#at += size;
    return at;
  }
}
