import { MESSAGE_BYTES_MAX } from "./limits.ts";

const HEADER_BYTES = 4;

/** Smaller chunks are copied together: as an object of its own each would take some hundred bytes, however small it is. */
const SMALL_CHUNK_BYTES = 1024;
const TAIL_BYTES_MIN = 64;
const TAIL_BYTES_MAX: number = 64 * 1024;

/** A peer sent a length that no correct peer sends. */
export class OversizeMessage extends Error {
  override readonly name = "OversizeMessage";
}

/**
 * Cuts a byte stream into messages: a u32 little-endian length, then that many bytes. Memory grows with what arrives, never
 * with what a length claims. A length of 0 is a keep-alive and yields nothing.
 */
export class MessageAssembler {
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  /** What small chunks are copied into, and how much of it is used; its used part is the last of `#chunks`. */
  #tail: { bytes: Uint8Array; used: number } | null = null;
  readonly #sizeMax: number;

  constructor(sizeMax: number = MESSAGE_BYTES_MAX) {
    this.#sizeMax = sizeMax;
  }

  /** Bytes of an unfinished message. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Takes bytes in; answers the messages that they complete. @throws OversizeMessage */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    this.#append(chunk);
    const messages: Uint8Array[] = [];
    for (let size = this.#nextSize(); size !== null; size = this.#nextSize()) {
      this.#take(HEADER_BYTES);
      if (size > 0) messages.push(this.#take(size));
    }
    return messages;
  }

  #append(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const isUnfinished = this.#buffered > 0;
    this.#buffered += chunk.length;
    if (isUnfinished && chunk.length < SMALL_CHUNK_BYTES) {
      this.#appendCopy(chunk);
    } else {
      this.#tail = null;
      this.#chunks.push(chunk);
    }
  }

  #appendCopy(chunk: Uint8Array): void {
    let tail = this.#tail;
    const size = (tail?.used ?? 0) + chunk.length;
    if (tail !== null && size > tail.bytes.length && size <= TAIL_BYTES_MAX) {
      const bytes = new Uint8Array(Math.min(TAIL_BYTES_MAX, 2 * size));
      bytes.set(tail.bytes.subarray(0, tail.used));
      tail.bytes = bytes;
    } else if (tail === null || size > TAIL_BYTES_MAX) {
      tail = { bytes: new Uint8Array(Math.max(TAIL_BYTES_MIN, 2 * chunk.length)), used: 0 };
      this.#chunks.push(tail.bytes);
    }
    tail.bytes.set(chunk, tail.used);
    tail.used += chunk.length;
    this.#chunks[this.#chunks.length - 1] = tail.bytes.subarray(0, tail.used);
    this.#tail = tail;
  }

  /** The next message's size where it is here in full; null where it is not. */
  #nextSize(): number | null {
    if (this.#buffered < HEADER_BYTES) return null;
    let size = 0;
    for (let index = 0; index < HEADER_BYTES; index++) size += this.#byteAt(index) * 2 ** (8 * index);
    if (size > this.#sizeMax)
      throw new OversizeMessage(`a message of ${size} bytes, at most ${this.#sizeMax} are allowed`);
    return this.#buffered >= HEADER_BYTES + size ? size : null;
  }

  #byteAt(index: number): number {
    let rest = index;
    for (const chunk of this.#chunks) {
      if (rest < chunk.length) return chunk[rest] ?? 0;
      rest -= chunk.length;
    }
    return 0;
  }

  /** Removes `size` buffered bytes: a view where one chunk holds them, else one copy. */
  #take(size: number): Uint8Array {
    this.#buffered -= size;
    // What was handed out must not be written to again.
    this.#tail = null;
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= size) {
      if (first.length === size) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(size);
      return first.subarray(0, size);
    }
    const joined = new Uint8Array(size);
    let filled = 0;
    let used = 0;
    for (const chunk of this.#chunks) {
      const part = chunk.subarray(0, size - filled);
      joined.set(part, filled);
      filled += part.length;
      if (part.length < chunk.length) {
        this.#chunks[used] = chunk.subarray(part.length);
        break;
      }
      used += 1;
      if (filled === size) break;
    }
    this.#chunks = this.#chunks.slice(used);
    return joined;
  }
}

/** The header in front of a message. */
export function messageHeader(size: number): Uint8Array {
  return Uint8Array.of(size & 0xff, (size >>> 8) & 0xff, (size >>> 16) & 0xff, (size >>> 24) & 0xff);
}
