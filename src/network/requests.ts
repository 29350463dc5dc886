import type { QuicSession, QuicStream } from "node:quic";
import type { Clock } from "../node/ports.ts";
import { FIRST_BYTE_TIMEOUT_MS, MESSAGE_BYTES_MAX, QUESTION_BYTES_MAX, STREAM_HIGH_WATER_BYTES } from "./limits.ts";
import { MessageAssembler, messageHeader } from "./message-assembler.ts";
import { StreamWriter } from "./stream-writer.ts";
import { TransportError } from "./transport-error.ts";

const OK = 0;
const FAILED = 1;

/**
 * Asks one question on a stream of its own.
 * @throws TransportError `timeout`, `refused-by-peer`, `too-large`, `connection-lost`
 */
export async function ask(
  session: QuicSession,
  body: Uint8Array,
  { timeoutMs, clock, nudge }: { readonly timeoutMs: number; readonly clock: Clock; readonly nudge: () => void },
): Promise<Uint8Array> {
  if (body.length > QUESTION_BYTES_MAX) {
    throw new TransportError(
      "too-large",
      `a question of ${body.length} bytes, at most ${QUESTION_BYTES_MAX}: ask for less`,
    );
  }
  let stream: QuicStream;
  try {
    stream = await session.createBidirectionalStream({ highWaterMark: STREAM_HIGH_WATER_BYTES });
  } catch (error) {
    throw new TransportError("connection-lost", "the connection ended before the question was asked", error);
  }
  stream.onerror = () => undefined;
  stream.closed.catch(() => undefined);
  let timedOut = false;
  const cancel = clock.setTimer(clock.monotonicMs() + timeoutMs, () => {
    timedOut = true;
    stream.destroy();
  });
  try {
    const writer = new StreamWriter(stream, nudge);
    await writer.write(messageHeader(body.length));
    if (body.length > 0) await writer.write(body);
    writer.end();
    const response = await readOne(stream, MESSAGE_BYTES_MAX + 1);
    if (response[0] !== OK) throw new TransportError("refused-by-peer", "the peer could not answer");
    return response.subarray(1);
  } catch (error) {
    if (timedOut) throw new TransportError("timeout", `no answer within ${timeoutMs} ms`, error);
    if (error instanceof TransportError) throw error;
    throw new TransportError("connection-lost", "the connection ended before the answer came", error);
  } finally {
    cancel();
  }
}

/** Answers the question on a stream that the peer opened; the peer learns that it failed, never why. */
export async function answer(
  stream: QuicStream,
  { clock, nudge }: { readonly clock: Clock; readonly nudge: () => void },
  respond: (body: Uint8Array) => Promise<Uint8Array>,
): Promise<void> {
  const cancel = clock.setTimer(clock.monotonicMs() + FIRST_BYTE_TIMEOUT_MS, () => stream.destroy());
  try {
    const body = await readOne(stream, QUESTION_BYTES_MAX);
    const writer = new StreamWriter(stream, nudge);
    let response: Uint8Array;
    try {
      response = await respond(body);
    } catch {
      await writer.write(Buffer.concat([messageHeader(1), Uint8Array.of(FAILED)]));
      writer.end();
      return;
    }
    await writer.write(Buffer.concat([messageHeader(response.length + 1), Uint8Array.of(OK)]));
    if (response.length > 0) await writer.write(response);
    writer.end();
  } finally {
    cancel();
  }
}

async function readOne(stream: QuicStream, sizeMax: number): Promise<Uint8Array> {
  const assembler = new MessageAssembler(sizeMax);
  // By hand: leaving a `for await` early would end the stream's other direction too.
  const iterator = stream[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await iterator.next();
    if (done === true) throw new Error("the stream ended within a message");
    for (const chunk of value) {
      const [message] = assembler.push(chunk);
      if (message === undefined) continue;
      readToEnd(iterator).catch(() => undefined);
      return message;
    }
  }
}

/** A stream is only released when its end was read. */
async function readToEnd(iterator: AsyncIterator<unknown>): Promise<void> {
  for (;;) if ((await iterator.next()).done === true) return;
}
