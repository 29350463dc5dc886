import { type Hash, hashBytes } from "../lib/hash.ts";
import type { Nonce, Position, Sequence, ValidatorIndex } from "../membership/ids.ts";

/** The keys of the columns. Numbers are big-endian, so that the order of the rows is the order of the numbers. */

/** `vertices`: creator, first nonce, digest (two rows under one nonce are a creator's fork). */
export function bundleKey(creator: ValidatorIndex, firstNonce: Nonce, digest: Hash): Uint8Array {
  return concat(laneKey(creator, firstNonce), hashBytes(digest));
}

/** The first possible key of a lane from a nonce on. */
export function laneKey(creator: ValidatorIndex, firstNonce: number): Uint8Array {
  const key = new Uint8Array(10);
  const view = new DataView(key.buffer);
  view.setUint16(0, creator);
  setUint64(view, 2, firstNonce);
  return key;
}

/** `finalized`, `log`. */
export function numberKey(value: Position | Sequence | number): Uint8Array {
  const key = new Uint8Array(8);
  setUint64(new DataView(key.buffer), 0, value);
  return key;
}

export function keyNumber(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
}

/** `metadata`: of a vertex by its id, of a bundle by its digest. */
export const hashKey: (hash: Hash) => Uint8Array = hashBytes;

/** `edges`: parent, child. */
export function edgeKey(parent: Hash, child: Hash): Uint8Array {
  return concat(hashBytes(parent), hashBytes(child));
}

/** `index_height`, `index_timestamp`: the number, then the position. */
export function indexKey(value: number, position: Position): Uint8Array {
  return concat(numberKey(value), numberKey(position));
}

function concat(left: Uint8Array, right: Uint8Array): Uint8Array {
  const joined = new Uint8Array(left.length + right.length);
  joined.set(left);
  joined.set(right, left.length);
  return joined;
}

function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000));
  view.setUint32(at + 4, value % 0x1_0000_0000);
}
