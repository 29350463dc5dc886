import { describe, expect, test } from "bun:test";
import { Random } from "./random.ts";
import { corpusOf } from "./corpus.ts";
import { Fuzzer, minimised } from "./fuzzer.ts";
import { mutate } from "./mutator.ts";
import { promise, type Target } from "./target.ts";
import { TARGETS } from "./targets.ts";

const FIXED_SEED = 1_799;
const MUTANTS = 400;
const HEAP_GROWTH_BYTES_MAX: number = 96 * 1024 * 1024;

const freshSeed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;

/** The first fault that a seed's mutants meet, in words that say how to meet it again. */
async function faultOf(target: Target, seed: number, mutants: number): Promise<string | null> {
  const fuzzer = new Fuzzer(target, seed);
  let fault = null;
  for (const { bytes } of corpusOf(target.name)) fault ??= await fuzzer.seed(bytes);
  while (fault === null && fuzzer.executions < mutants) fault = await fuzzer.step();
  if (fault === null) return null;
  const { error } = fault;
  const input = await minimised(target, fault);
  return `seed ${seed}, mutant ${fuzzer.executions}: ${String(error)}; input ${Buffer.from(input).toString("base64").slice(0, 2_000)}`;
}

describe.each(TARGETS)("$name", (target) => {
  test("takes its whole corpus, and its seeds are still what its encoder writes", async () => {
    const corpus = corpusOf(target.name);
    expect(corpus.length).toBeGreaterThan(0);
    for (const { file, bytes } of corpus) {
      const outcome: unknown = await Promise.resolve()
        .then(() => target.run(bytes))
        .catch((error: unknown) => error);
      expect(outcome, file).toBeString();
      const isStale =
        file.includes("seed-") &&
        /(short|trailing-bytes|not-canonical|unknown-variant|-limit|not-utf8) \d+$/.test(String(outcome));
      expect(
        isStale,
        `${file} is of an older format: test/fuzz/run-write-seeds.ts or run-write-dag-seeds.ts writes it`,
      ).toBe(false);
    }
  });

  test("keeps its promises for mutants of a fixed seed", async () => {
    expect(await faultOf(target, FIXED_SEED, MUTANTS)).toBeNull();
  });

  test("keeps its promises for mutants of a fresh seed", async () => {
    expect(await faultOf(target, freshSeed, MUTANTS)).toBeNull();
  });
});

describe("the fuzzer", () => {
  const dull: Target = {
    name: "dull",
    sizeMax: 64,
    run: (input) => {
      promise(!(input[0] === 0x7f && input.length > 4), "the byte that breaks it");
      return String(input[0] ?? 0);
    },
  };

  test("finds a planted fault, and makes its input small", async () => {
    const fuzzer = new Fuzzer(dull, 1);
    await fuzzer.seed(new Uint8Array(32));
    let fault = null;
    while (fault === null && fuzzer.executions < 20_000) fault = await fuzzer.step();
    if (fault === null) throw new Error("nothing found");
    expect(Array.from((await minimised(dull, fault)).subarray(0, 1))).toEqual([0x7f]);
    expect((await minimised(dull, fault)).length).toBe(5);
  });

  test("makes the same mutants of the same seed", () => {
    const input = Uint8Array.from({ length: 50 }, (_, index) => index);
    const sources = { others: [input], fields: [{ offset: 8, size: 8 }], sizeMax: 100 };
    const mutants = (seed: number): readonly string[] => {
      const random = new Random(seed);
      return Array.from({ length: 200 }, () => mutate(random, input, sources).toHex());
    };
    expect(mutants(3)).toEqual(mutants(3));
    expect(mutants(3)).not.toEqual(mutants(4));
    expect(new Set(mutants(3)).size).toBeGreaterThan(100);
  });

  test("leaves the heap as it was: what is refused is not kept", async () => {
    Bun.gc(true);
    const before = process.memoryUsage().heapUsed;
    for (const target of TARGETS) await faultOf(target, FIXED_SEED + 1, MUTANTS / 2);
    Bun.gc(true);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(HEAP_GROWTH_BYTES_MAX);
  }, 120_000);
});
