import { Random } from "./random.ts";
import { type Field, mutate } from "./mutator.ts";
import type { Target } from "./target.ts";

/** Mutants kept because they reached something new; past it a random one makes room. */
const KEPT_MAX = 384;
const KEPT_BYTES_MAX: number = 16 * 1024 * 1024;

/** Different outcomes that are told apart; past it new ones no longer count as new. */
const OUTCOMES_MAX = 20_000;

interface Entry {
  readonly bytes: Uint8Array;
  readonly fields: readonly Field[];
}

export interface Fault {
  readonly input: Uint8Array;
  readonly error: unknown;
}

/**
 * Mutates a corpus against one target. There is no coverage feedback in Bun, so what stands in for it is the outcome: a
 * mutant that ends in a new error, or decodes to a value of a new shape, is kept and mutated further. The same seed and
 * corpus give the same run.
 */
export class Fuzzer {
  executions = 0;
  readonly outcomes: Set<string> = new Set();
  readonly #target: Target;
  readonly #random: Random;
  readonly #entries: Entry[] = [];
  #bytes = 0;

  constructor(target: Target, seed: number) {
    this.#target = target;
    this.#random = new Random(seed);
  }

  /** Runs one input as it is, and keeps it. */
  async seed(input: Uint8Array): Promise<Fault | null> {
    this.#keep(input);
    return await this.#execute(input);
  }

  /** One mutant; null where every promise held. */
  async step(): Promise<Fault | null> {
    return await this.#execute(this.next());
  }

  /** The next mutant, not run. */
  next(): Uint8Array {
    const entry = this.#entries[this.#random.below(this.#entries.length)] ?? { bytes: new Uint8Array(0), fields: [] };
    const change = this.#target.mutate ?? mutate;
    const others = this.#entries.length === 0 ? [] : [this.#random.pick(this.#entries).bytes];
    const { fields } = entry;
    return change(this.#random, entry.bytes, { others, fields, sizeMax: this.#target.sizeMax });
  }

  async #execute(input: Uint8Array): Promise<Fault | null> {
    this.executions += 1;
    // The target gets bytes of its own: one that writes into its input would change the corpus.
    const outcome = await outcomeOf(this.#target, Uint8Array.from(input));
    if (outcome.kind === "fault") return { input, error: outcome.error };
    if (this.outcomes.has(outcome.text) || this.outcomes.size >= OUTCOMES_MAX) return null;
    this.outcomes.add(outcome.text);
    this.#keep(input);
    return null;
  }

  #keep(bytes: Uint8Array): void {
    while (
      this.#entries.length >= KEPT_MAX ||
      (this.#bytes + bytes.length > KEPT_BYTES_MAX && this.#entries.length > 0)
    ) {
      const [removed] = this.#entries.splice(this.#random.below(this.#entries.length), 1);
      this.#bytes -= removed?.bytes.length ?? 0;
    }
    const fields = this.#target.fields?.(bytes) ?? [];
    this.#entries.push({ bytes, fields: fields.slice(0, 2_000) });
    this.#bytes += bytes.length;
  }
}

type Outcome = { readonly kind: "ran"; readonly text: string } | { readonly kind: "fault"; readonly error: unknown };

async function outcomeOf(target: Target, input: Uint8Array): Promise<Outcome> {
  try {
    const running = target.run(input);
    return { kind: "ran", text: typeof running === "string" ? running : await running };
  } catch (error) {
    return { kind: "fault", error };
  }
}

/** A smaller input with the same fault: slices are taken out while the fault's first words stay what they were. */
export async function minimised(target: Target, fault: Fault): Promise<Uint8Array> {
  const wanted = nameOf(fault.error);
  let best = fault.input;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length; ) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      const outcome = await outcomeOf(target, Uint8Array.from(shorter));
      if (outcome.kind === "fault" && nameOf(outcome.error) === wanted) best = Uint8Array.from(shorter);
      else at += size;
    }
  }
  return best;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? `${error.name} ${error.message.replaceAll(/\d+/g, "#").slice(0, 40)}` : String(error);
}
