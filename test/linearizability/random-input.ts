import type { Random } from "../../src/sim/random.ts";
import type { Expected, KvInput } from "./kv-operations.ts";

/** How often which operation, out of the sum of all. */
export interface Mix {
  readonly get: number;
  readonly put: number;
  readonly delete: number;
  readonly "compare-and-set": number;
  readonly range: number;
}

export const MIX: Mix = { get: 40, put: 30, delete: 5, "compare-and-set": 20, range: 5 };

export interface InputOptions {
  readonly keys: readonly string[];
  /** The keys that ranges cover begin with this; they are checked together, so they should be few. */
  readonly rangePrefix: string;
  readonly mix: Mix;
  /** Whether a compare-and-set may name the value that it wants to find; HTTP knows versions only. */
  readonly comparesValues: boolean;
}

/** What a client has seen of a key: what makes its compare-and-set succeed now and then. */
export interface Sight {
  readonly version: number | null;
  readonly value: string | null;
}

/** @param value written by nobody else: so a read tells which write it saw */
export function randomInput(
  random: Random,
  options: InputOptions,
  value: string,
  sightOf: (key: string) => Sight | null,
): KvInput {
  const type = pickType(random, options.mix);
  const key = random.pick(options.keys);
  switch (type) {
    case "get":
    case "delete":
      return { type, key };
    case "put":
      return { type, key, value };
    case "compare-and-set":
      return {
        type,
        key,
        expected: expectation(random, options.comparesValues, sightOf(key)),
        next: random.chance(0.1) ? null : value,
      };
    case "range":
      return {
        type,
        from: options.rangePrefix,
        to: endOfPrefix(options.rangePrefix),
        limit: random.chance(0.5) ? 1_000 : random.between(1, 3),
        reverse: random.chance(0.3),
      };
  }
}

/** The first text after all that begin with the prefix; null for the empty prefix. ASCII. */
export function endOfPrefix(prefix: string): string | null {
  if (prefix === "") return null;
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

function pickType(random: Random, mix: Mix): KvInput["type"] {
  const all: readonly KvInput["type"][] = ["get", "put", "delete", "compare-and-set", "range"];
  let at = random.below(all.reduce((sum, type) => sum + mix[type], 0));
  for (const type of all) {
    if (at < mix[type]) return type;
    at -= mix[type];
  }
  throw new Error("a mix of operations must have a positive sum");
}

function expectation(random: Random, comparesValues: boolean, sight: Sight | null): Expected {
  if (sight?.version == null || sight.value === null) return { type: "absent" };
  if (random.chance(0.1)) return { type: "absent" };
  return comparesValues && random.chance(0.5)
    ? { type: "value", value: sight.value }
    : { type: "version", version: sight.version };
}
