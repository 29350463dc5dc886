import type { QuicStream } from "node:quic";

/** The part of node's stream writer that we use; its drain protocol is a symbol that node:stream/iter would export. */
interface BufferedWriter {
  writeSync(chunk: Uint8Array): boolean;
  endSync(): number;
}

const DRAIN = Symbol.for("Stream.drainableProtocol");

/**
 * Writes in order to one QUIC stream and waits where it is full. `writeSync` answers false when nothing was taken; `write`
 * would throw then, so it is not used.
 */
export class StreamWriter {
  readonly #stream: QuicStream;
  readonly #writer: BufferedWriter;

  constructor(stream: QuicStream) {
    this.#stream = stream;
    this.#writer = stream.writer as unknown as BufferedWriter;
  }

  /** Resolves when the stream has taken the bytes over; rejects when it ended. The bytes must not change afterwards. */
  async write(chunk: Uint8Array): Promise<void> {
    while (!this.#writer.writeSync(chunk)) {
      if (this.#stream.destroyed) throw new Error("the stream ended");
      const drained = drainOf(this.#writer);
      if (drained === null) throw new Error("the stream takes no more bytes");
      await drained;
    }
  }

  end(): void {
    if (!this.#stream.destroyed) this.#writer.endSync();
  }
}

function drainOf(writer: object): Promise<unknown> | null {
  const drain: unknown = Reflect.get(writer, DRAIN);
  if (typeof drain !== "function") return null;
  const promise: unknown = Reflect.apply(drain, writer, []);
  return promise instanceof Promise ? promise : null;
}
