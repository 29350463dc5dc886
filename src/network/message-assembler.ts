import { MESSAGE_BYTES_MAX } from "./limits.ts";

const HEADER_BYTES = 4;

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
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const messages: Uint8Array[] = [];
    for (let size = this.#nextSize(); size !== null; size = this.#nextSize()) {
      this.#take(HEADER_BYTES);
      if (size > 0) messages.push(this.#take(size));
    }
    return messages;
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
