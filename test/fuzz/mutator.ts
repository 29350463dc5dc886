import type { Random } from "./random.ts";

/** Where one primitive value stands in an encoding: what a decoder read in one step. */
export interface Field {
  readonly offset: number;
  readonly size: number;
}

export interface Sources {
  /** Other encodings, to splice with. */
  readonly others: readonly Uint8Array[];
  /** The fields of the encoding that is changed; empty where nothing is known of its grammar. */
  readonly fields: readonly Field[];
  /** What is longer is cut, so that inputs do not grow for ever. */
  readonly sizeMax: number;
}

/** Ends of number types, and one beside each. */
const INTERESTING: readonly bigint[] = [7n, 8n, 15n, 16n, 31n, 32n, 53n, 63n, 64n]
  .flatMap((bits) => [(1n << bits) - 1n, 1n << bits, (1n << bits) + 1n])
  .concat([0n, 1n, 2n, 3n, 4n, 12n, 13n, 64n, 1023n, 1024n, 1025n, 4095n, 4096n, 4097n, 16n * 1024n * 1024n])
  .map((value) => BigInt.asUintN(64, value));

type Mutation = (random: Random, input: Uint8Array, sources: Sources) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  flipBits,
  flipBits,
  setByte,
  insertBytes,
  deleteSlice,
  truncate,
  splice,
  duplicateSlice,
  writeInteger,
  writeInteger,
  writeInteger,
  blowUpLength,
  repeatStructure,
  repeatStructure,
  dropStructure,
  swapStructures,
];

/** One to four changes of an encoding. The same stream of numbers makes the same mutant. */
export function mutate(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  let mutant = input;
  const rounds = 1 + Math.min(random.below(4), random.below(4));
  for (let round = 0; round < rounds; round++) {
    // The fields are those of the first input: after a change they are only a hint, which is all they need to be.
    mutant = random.pick(MUTATIONS)(random, mutant, sources).subarray(0, sources.sizeMax);
  }
  return Uint8Array.from(mutant);
}

function flipBits(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  const mutant = Uint8Array.from(input);
  for (let count = 1 + random.below(3); count > 0 && mutant.length > 0; count--) {
    const at = offsetIn(random, input, sources);
    mutant[at] = (mutant[at] ?? 0) ^ (1 << random.below(8));
  }
  return mutant;
}

function setByte(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  const mutant = Uint8Array.from(input);
  if (mutant.length > 0) mutant[offsetIn(random, input, sources)] = random.pick([0, 1, 2, 0x7f, 0x80, 0xff]);
  return mutant;
}

function insertBytes(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  const noise = Uint8Array.from({ length: 1 + random.below(40) }, () => random.below(256));
  if (random.chance(0.5)) noise.fill(random.pick([0, 0xff]));
  return inserted(input, offsetIn(random, input, sources), noise);
}

function deleteSlice(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  const at = offsetIn(random, input, sources);
  return without(input, at, at + 1 + random.below(random.pick([1, 8, 64, 5_000])));
}

function truncate(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  return input.subarray(0, offsetIn(random, input, sources));
}

function splice(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  if (sources.others.length === 0) return input;
  const other = random.pick(sources.others);
  const head = input.subarray(0, offsetIn(random, input, sources));
  return Buffer.concat([head, other.subarray(random.chance(0.5) ? head.length : random.below(other.length + 1))]);
}

function duplicateSlice(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  const from = offsetIn(random, input, sources);
  const slice = input.subarray(from, from + 1 + random.below(random.pick([8, 64, 5_000])));
  return inserted(input, offsetIn(random, input, sources), slice);
}

function writeInteger(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  const field = sources.fields.length > 0 && random.chance(0.8) ? random.pick(sources.fields) : null;
  const offset = field?.offset ?? random.below(input.length + 1);
  const size = field !== null && field.size <= 8 ? field.size : random.pick([1, 2, 4, 8]);
  const near = random.chance(0.3) ? BigInt.asUintN(64, numberAt(input, offset, size) + random.pick([-1n, 1n])) : null;
  return withNumber(input, offset, size, near ?? random.pick(INTERESTING));
}

/** Finds what may be a length (a small u64 whose upper bytes are 0) and claims more than there is. */
function blowUpLength(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  const known = sources.fields.filter(({ offset, size }) => size === 8 && isSmall(input, offset));
  const at = known.length > 0 ? random.pick(known).offset : scanForLength(random, input);
  if (at === null) return input;
  const left = BigInt(Math.max(0, input.length - at - 8));
  const claims = [left, left + 1n, left - 1n, left / 12n, left * 2n, 1n << 31n, 1n << 40n, (1n << 53n) - 1n, 1n << 63n];
  return withNumber(input, at, 8, BigInt.asUintN(64, random.pick(claims)));
}

/** Repeats what lies between two fields some times, and often raises the count in front of it to match. */
function repeatStructure(random: Random, input: Uint8Array, { fields }: Sources): Uint8Array {
  if (fields.length < 2) return duplicateSlice(random, input, { others: [], fields, sizeMax: input.length * 2 });
  const first = random.below(fields.length - 1);
  const last = Math.min(fields.length - 1, first + 1 + random.below(random.pick([2, 6, 20])));
  const [from, to] = [fields[first]?.offset ?? 0, fields[last]?.offset ?? 0];
  const times = random.pick([1, 1, 2, 12, 70]);
  const before = fields.slice(0, first + 1).filter(({ size, offset }) => size === 8 && isSmall(input, offset));
  const count = before.at(-1 - random.below(Math.min(3, before.length)));
  let mutant = input;
  if (count !== undefined && random.chance(0.8) && count.offset < to) {
    mutant = withNumber(mutant, count.offset, 8, numberAt(mutant, count.offset, 8) + BigInt(times));
  }
  const slice = mutant.subarray(from, to);
  return inserted(mutant, to, Buffer.concat(Array.from({ length: times }, () => slice)));
}

/** Takes one structure out, and lowers the count in front of it. */
function dropStructure(random: Random, input: Uint8Array, { fields }: Sources): Uint8Array {
  if (fields.length < 2) return input;
  const first = random.below(fields.length - 1);
  const last = Math.min(fields.length - 1, first + 1 + random.below(12));
  const [from, to] = [fields[first]?.offset ?? 0, fields[last]?.offset ?? 0];
  const count = fields.slice(0, first).findLast(({ size, offset }) => size === 8 && isSmall(input, offset));
  const lowered = count === undefined ? 0n : numberAt(input, count.offset, 8) - 1n;
  const mutant = count === undefined || lowered < 0n ? input : withNumber(input, count.offset, 8, lowered);
  return without(mutant, from, to);
}

/** Exchanges two fields of one size: equal signers, orders turned round, crossed digests. */
function swapStructures(random: Random, input: Uint8Array, { fields }: Sources): Uint8Array {
  if (fields.length < 2) return input;
  const left = random.pick(fields);
  const right = random.pick(fields.filter(({ size }) => size === left.size));
  const mutant = overwritten(input, left.offset, input.subarray(right.offset, right.offset + right.size));
  if (random.chance(0.5)) return mutant;
  return overwritten(mutant, right.offset, input.subarray(left.offset, left.offset + left.size));
}

/** Mostly the edge of a field or within its first bytes, else anywhere. */
function offsetIn(random: Random, input: Uint8Array, { fields }: Sources): number {
  if (fields.length === 0 || random.chance(0.2)) return random.below(Math.max(1, input.length));
  const field = random.pick(fields);
  return Math.min(Math.max(0, input.length - 1), field.offset + random.below(Math.min(8, Math.max(1, field.size))));
}

function scanForLength(random: Random, input: Uint8Array): number | null {
  if (input.length < 8) return null;
  const start = random.below(input.length - 7);
  for (let step = 0; step <= input.length - 8; step++) {
    const at = (start + step) % (input.length - 7);
    if (isSmall(input, at) && input[at] !== 0) return at;
  }
  return null;
}

function isSmall(input: Uint8Array, offset: number): boolean {
  return offset + 8 <= input.length && input.subarray(offset + 3, offset + 8).every((byte) => byte === 0);
}

function numberAt(input: Uint8Array, offset: number, size: number): bigint {
  let value = 0n;
  for (let index = size - 1; index >= 0; index--) value = (value << 8n) | BigInt(input[offset + index] ?? 0);
  return value;
}

function withNumber(input: Uint8Array, offset: number, size: number, value: bigint): Uint8Array {
  const mutant = Uint8Array.from(input);
  for (let index = 0; index < size && offset + index < mutant.length; index++) {
    mutant[offset + index] = Number((value >> BigInt(8 * index)) & 0xffn);
  }
  return mutant;
}

function inserted(input: Uint8Array, at: number, slice: Uint8Array): Uint8Array {
  return Buffer.concat([input.subarray(0, at), slice, input.subarray(at)]);
}

function without(input: Uint8Array, from: number, to: number): Uint8Array {
  return Buffer.concat([input.subarray(0, from), input.subarray(to)]);
}

function overwritten(input: Uint8Array, at: number, slice: Uint8Array): Uint8Array {
  const mutant = Uint8Array.from(input);
  if (at < mutant.length) mutant.set(slice.subarray(0, mutant.length - at), at);
  return mutant;
}
