import { COLUMNS, type Column, type WriteBatchBytes } from "./ports.ts";
import { Writer } from "../codec/writer.ts";
import { Reader } from "../codec/reader.ts";
import { present } from "../lib/assert.ts";

const PUT = 0;
const DELETE = 1;

const COLUMN_TAGS = new Map<Column, number>(COLUMNS.map((column, tag) => [column, tag]));

/**
 * Puts and deletes that become durable together. Packed as they are added, so that a batch of thousands of rows crosses
 * to the database worker as one transferred buffer.
 */
export class WriteBatch {
  readonly #writer: Writer = new Writer(65_536);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  put(column: Column, key: Uint8Array, value: Uint8Array): void {
    this.#begin(PUT, column, key);
    this.#writer.u32(value.length);
    this.#writer.bytes(value);
  }

  delete(column: Column, key: Uint8Array): void {
    this.#begin(DELETE, column, key);
  }

  /** The packed batch; this object must not be used afterwards. */
  finish(): WriteBatchBytes {
    return { bytes: this.#writer.finish(), count: this.#count };
  }

  #begin(operation: number, column: Column, key: Uint8Array): void {
    this.#count += 1;
    this.#writer.u8(operation);
    this.#writer.u8(present(COLUMN_TAGS.get(column), `a tag for column ${column}`));
    this.#writer.u32(key.length);
    this.#writer.bytes(key);
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
