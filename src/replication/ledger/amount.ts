import type { Codec } from "../../codec/codec.ts";
import { mapped } from "../../codec/composites.ts";
import { fixedBytes } from "../../codec/primitives.ts";
import { assert } from "../../lib/assert.ts";

/** The most units of one transfer, and of all accounts together: eight bytes on the wire. */
export const AMOUNT_MAX: bigint = 2n ** 64n - 1n;

const BYTES = 8;

/** 0 to 2^64 - 1 in eight bytes, little-endian. */
export const amountCodec: Codec<bigint> = mapped(fixedBytes(BYTES), fromBytes, toBytes);

/** A decimal number without sign and leading zeros, 0 to 2^64 - 1; null for any other text. */
export function parseAmount(text: string): bigint | null {
  if (!/^(?:0|[1-9]\d{0,19})$/.test(text)) return null;
  const amount = BigInt(text);
  return amount <= AMOUNT_MAX ? amount : null;
}

function fromBytes(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, BYTES).getBigUint64(0, true);
}

function toBytes(amount: bigint): Uint8Array {
  assert(amount >= 0n && amount <= AMOUNT_MAX, `an amount of ${amount}`);
  const bytes = new Uint8Array(BYTES);
  new DataView(bytes.buffer).setBigUint64(0, amount, true);
  return bytes;
}
