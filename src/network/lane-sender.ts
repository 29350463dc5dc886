import type { QuicSession } from "node:quic";
import type { Lane } from "../node/ports.ts";
import { messageHeader } from "./message-assembler.ts";
import { QUEUE_BYTES_MAX, STREAM_HIGH_WATER_BYTES, WRITE_BYTES_SOFT_MAX } from "./limits.ts";
import { StreamWriter } from "./stream-writer.ts";

/** The first byte of a lane's stream. */
export const LANE_BYTES: Readonly<Record<Lane, number>> = { consensus: 1, dissemination: 2 };

const KEEP_ALIVE = messageHeader(0);

/** One lane to one peer: a bounded queue in front of one long-lived unidirectional stream. */
export class LaneSender {
  readonly #session: QuicSession;
  readonly #lane: Lane;
  readonly #onError: (error: unknown) => void;
  readonly #nudge: () => void;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #pumping = false;
  #draining: Promise<void> = Promise.resolve();
  #writer: StreamWriter | null = null;
  #closed = false;

  constructor(
    session: QuicSession,
    lane: Lane,
    hooks: { readonly onError: (error: unknown) => void; readonly nudge: () => void },
  ) {
    this.#session = session;
    this.#lane = lane;
    this.#onError = hooks.onError;
    this.#nudge = hooks.nudge;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Queues a frame; false where the queue is full and the frame is dropped. */
  send(frame: Uint8Array): boolean {
    if (this.#closed || this.#queuedBytes + frame.length > QUEUE_BYTES_MAX[this.#lane]) return false;
    this.#queue.push(messageHeader(frame.length), frame);
    this.#queuedBytes += KEEP_ALIVE.length + frame.length;
    this.#pump();
    return true;
  }

  /** Shows the peer that this side lives, where nothing else is on its way. */
  keepAlive(): void {
    if (this.#closed || this.#queue.length > 0) return;
    this.#queue.push(KEEP_ALIVE);
    this.#queuedBytes += KEEP_ALIVE.length;
    this.#pump();
  }

  /** Resolves when what is queued now was handed to QUIC, or the stream ended. */
  async flush(): Promise<void> {
    await this.#draining;
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#draining = this.#drain()
      .catch((error: unknown) => {
        if (!this.#closed) this.#onError(error);
      })
      .finally(() => {
        this.#pumping = false;
        if (this.#queue.length > 0 && !this.#closed) this.#pump();
      });
  }

  async #drain(): Promise<void> {
    this.#writer ??= await this.#open();
    while (this.#queue.length > 0 && !this.#closed) {
      const chunk = this.#nextChunk();
      await this.#writer.write(chunk);
    }
  }

  async #open(): Promise<StreamWriter> {
    const stream = await this.#session.createUnidirectionalStream({
      highWaterMark: STREAM_HIGH_WATER_BYTES,
      priority: this.#lane === "consensus" ? "high" : "default",
    });
    stream.onerror = (error) => this.#onError(error);
    stream.closed.catch(() => undefined);
    const writer = new StreamWriter(stream, this.#nudge);
    await writer.write(Uint8Array.of(LANE_BYTES[this.#lane]));
    return writer;
  }

  /** Small frames together, a large one as it is. */
  #nextChunk(): Uint8Array {
    const parts: Uint8Array[] = [];
    let size = 0;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (size > 0 && size + next.length > WRITE_BYTES_SOFT_MAX) break;
      parts.push(next);
      size += next.length;
      this.#queue.shift();
    }
    this.#queuedBytes = this.#queuedBytes - size;
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, size);
  }
}
