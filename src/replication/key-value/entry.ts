import type { Codec } from "../../codec/codec.ts";
import { mapped, struct } from "../../codec/composites.ts";
import { bytes, u64 } from "../../codec/primitives.ts";
import { PAYLOAD_BYTES_MAX } from "../../dag/limits.ts";
import type { Position } from "../../membership/ids.ts";
import { keyCodec } from "./key.ts";

/**
 * The largest value, in bytes. A command is one vertex's payload, and 2 KiB of it are enough for everything else: two
 * headers and the longest key. Larger blobs belong beside the store, with their hash in it.
 */
export const VALUE_BYTES_MAX: number = PAYLOAD_BYTES_MAX - 2_048;

export const valueCodec: Codec<Uint8Array> = bytes(VALUE_BYTES_MAX);

/** A key's version: the position of the command that wrote it last. */
export const versionCodec: Codec<Position> = mapped(
  u64,
  (value) => value as Position,
  (value) => value,
);

/** What the store holds of one key. */
export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: Position;
  /** The position of the command since which the key is there without a break. */
  readonly created: Position;
}

export const entryCodec: Codec<Entry> = struct<Entry>({
  key: keyCodec,
  value: valueCodec,
  version: versionCodec,
  created: versionCodec,
});
