import type { QuicStream } from "node:quic";
import { NUDGE_MS } from "./limits.ts";

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

  readonly #nudge: () => void;

  /** @param nudge writes a little to another stream of the same session */
  constructor(stream: QuicStream, nudge: () => void) {
    this.#nudge = nudge;
    this.#stream = stream;
    this.#writer = stream.writer as unknown as BufferedWriter;
  }

  /** Resolves when the stream has taken the bytes over; rejects when it ended. The bytes must not change afterwards. */
  async write(chunk: Uint8Array): Promise<void> {
    while (!this.#writer.writeSync(chunk)) {
      if (this.#stream.destroyed) throw new Error("the stream ended");
      if (await isTimeUp(this.#writer)) this.#nudge();
    }
  }

  end(): void {
    if (!this.#stream.destroyed) this.#writer.endSync();
  }
}

/** Waits for the stream to drain; true where nothing happened for the time of a nudge. */
async function isTimeUp(writer: object): Promise<boolean> {
  const drain: unknown = Reflect.get(writer, DRAIN);
  const drained: unknown = typeof drain === "function" ? Reflect.apply(drain, writer, []) : null;
  const timeout = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => timeout.resolve(true), NUDGE_MS);
  try {
    if (!(drained instanceof Promise)) return await timeout.promise;
    return await Promise.race([drained.then(() => false), timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
