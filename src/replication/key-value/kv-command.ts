import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, struct, union, variant, vec } from "../../codec/composites.ts";
import { u32 } from "../../codec/primitives.ts";
import { DecodeError } from "../../codec/reader.ts";
import type { Position } from "../../membership/ids.ts";
import { valueCodec, versionCodec } from "./entry.ts";
import { keyCodec } from "./key.ts";

/** The most writes of one batch. */
export const BATCH_WRITES_MAX = 128;

/** What a compare-and-set wants to find. */
export type Expected =
  | { readonly kind: "absent" }
  | { readonly kind: "version"; readonly version: Position }
  | { readonly kind: "value"; readonly value: Uint8Array };

export type KvWrite =
  | { readonly kind: "put"; readonly key: string; readonly value: Uint8Array }
  /** Of a key that is not there it changes nothing. */
  | { readonly kind: "delete"; readonly key: string }
  | {
      readonly kind: "compare-and-set";
      readonly key: string;
      readonly expected: Expected;
      /** Null deletes. */
      readonly next: Uint8Array | null;
    };

export type KvCommand =
  | KvWrite
  /** One after the other, all of them or none; each sees what those before it did. */
  | { readonly kind: "batch"; readonly writes: readonly KvWrite[] };

/** What one write did. */
export interface KvWritten {
  /** The key's version now; null where it is not there any more. */
  readonly version: Position | null;
  /** The one before; null where it was not there. */
  readonly previous: Position | null;
}

/** Why a compare-and-set was refused, and with it all of its command. */
export interface KvConflict {
  /** The write's place in its batch; 0 where it is alone. */
  readonly index: number;
  /** The version that the write met; null where the key was not there. */
  readonly current: Position | null;
}

/** Reasons of `CommandRejected`: the first has a `KvConflict` as its detail. */
export const CONFLICT = "conflict";
export const MALFORMED = "malformed";

const expectedCodec = union<Expected>({
  absent: variant("absent", {}),
  version: variant("version", { version: versionCodec }),
  value: variant("value", { value: valueCodec }),
});

const put: Codec<Extract<KvWrite, { kind: "put" }>> = variant("put", { key: keyCodec, value: valueCodec });
const remove: Codec<Extract<KvWrite, { kind: "delete" }>> = variant("delete", { key: keyCodec });
const compareAndSet: Codec<Extract<KvWrite, { kind: "compare-and-set" }>> = variant("compare-and-set", {
  key: keyCodec,
  expected: expectedCodec,
  next: option(valueCodec),
});

const writeCodec = union<KvWrite>({ put, delete: remove, "compare-and-set": compareAndSet });

/** The body of a command to the store. */
export const kvCommandCodec: Codec<KvCommand> = union<KvCommand>({
  put,
  delete: remove,
  "compare-and-set": compareAndSet,
  batch: variant("batch", { writes: vec(writeCodec, BATCH_WRITES_MAX) }),
});

const writtenCodec = vec(
  struct<KvWritten>({ version: option(versionCodec), previous: option(versionCodec) }),
  BATCH_WRITES_MAX,
);

const conflictCodec = struct<KvConflict>({ index: u32, current: option(versionCodec) });

/** Without `keyFault`, and no value above VALUE_BYTES_MAX. */
export function encodeKvCommand(command: KvCommand): Uint8Array {
  return encode(kvCommandCodec, command);
}

/** Null where the bytes are no command. Values are views. */
export function decodeKvCommand(body: Uint8Array): KvCommand | null {
  try {
    return decode(kvCommandCodec, body);
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

/** The result of an applied command: for each write what it did. */
export function encodeWritten(written: readonly KvWritten[]): Uint8Array {
  return encode(writtenCodec, written, 8 + 18 * written.length);
}

/** @throws DecodeError */
export function decodeWritten(result: Uint8Array): readonly KvWritten[] {
  return decode(writtenCodec, result);
}

export function encodeConflict(conflict: KvConflict): Uint8Array {
  return encode(conflictCodec, conflict);
}

/** @throws DecodeError */
export function decodeConflict(detail: Uint8Array): KvConflict {
  return decode(conflictCodec, detail);
}
