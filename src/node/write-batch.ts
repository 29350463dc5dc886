import { COLUMNS, type Column, type WriteBatchBytes } from "./ports.ts";
import { Writer } from "../codec/writer.ts";
import { Reader } from "../codec/reader.ts";
import { present } from "../lib/assert.ts";

const PUT = 0;
const DELETE = 1;

/** A turn of a few votes fits; it doubles as it grows. */
const CAPACITY = 16_384;

const COLUMN_TAGS = new Map<Column, number>(COLUMNS.map((column, tag) => [column, tag]));

/**
 * Puts and deletes that become durable together. Packed as they are added, so that a batch of thousands of rows crosses
 * to the database worker as one transferred buffer.
 */
export class WriteBatch {
  /** Made with the first row: most turns of a quiet node write nothing, and zeroing its memory costs more than they do. */
  #writer: Writer | null = null;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  put(column: Column, key: Uint8Array, value: Uint8Array): void {
    const writer = this.#begin(PUT, column, key);
    writer.u32(value.length);
    writer.bytes(value);
  }

  delete(column: Column, key: Uint8Array): void {
    this.#begin(DELETE, column, key);
  }

  /** The packed batch; this object must not be used afterwards. */
  finish(): WriteBatchBytes {
    return { bytes: this.#writer?.finish() ?? new Uint8Array(0), count: this.#count };
  }

  #begin(operation: number, column: Column, key: Uint8Array): Writer {
    this.#writer ??= new Writer(CAPACITY);
    const writer = this.#writer;
    this.#count += 1;
    writer.u8(operation);
    writer.u8(present(COLUMN_TAGS.get(column), `a tag for column ${column}`));
    writer.u32(key.length);
    writer.bytes(key);
    return writer;
  }
}

/** Calls back for every operation of a packed batch, in order; a null value is a delete. */
export function forEachWrite(
  batch: WriteBatchBytes,
  visit: (column: Column, key: Uint8Array, value: Uint8Array | null) => void,
): void {
  const reader = new Reader(batch.bytes);
  for (let index = 0; index < batch.count; index++) {
    const operation = reader.u8();
    const column = present(COLUMNS[reader.u8()], "a column of a packed write");
    const key = reader.bytes(reader.u32());
    visit(column, key, operation === PUT ? reader.bytes(reader.u32()) : null);
  }
  reader.end();
}
