import { Random } from "../../src/sim/random.ts";
import type { KvInput, KvOutput } from "./kv-operations.ts";
import type { Attempt, CommandName, KvTarget } from "./kv-target.ts";
import { ReferenceStore } from "./reference-store.ts";

/** What is wrong with the double: nothing, stale reads now and then, or commands that are done again when they are sent again. */
export type Wrong = "nothing" | "stale-reads" | "twice";

const TURNS_MAX = 5;

/** In place of a cluster: several "nodes" over one store, with delays, refusals and answers that get lost. */
export class DoubleCluster {
  readonly #store = new ReferenceStore();
  readonly #outcomes = new Map<string, KvOutput>();
  readonly #random: Random;
  readonly #wrong: Wrong;

  constructor(seed: number, wrong: Wrong) {
    this.#random = Random.of(seed, 2_000);
    this.#wrong = wrong;
  }

  targets(count: number): readonly KvTarget[] {
    return Array.from({ length: count }, (_, index) => ({
      name: `double ${index}`,
      attempt: (input, command) => this.#attempt(input, command),
    }));
  }

  /** The answer at once, for a server that stands before it. */
  perform(input: KvInput, command: CommandName | null): KvOutput {
    if (command === null)
      return this.#wrong === "stale-reads" && this.#random.chance(0.1)
        ? this.#store.readBehind(input, this.#random.between(5, 30))
        : this.#store.apply(input);
    const name = `${command.client} ${command.number}`;
    const known = this.#wrong === "twice" ? undefined : this.#outcomes.get(name);
    const output = known ?? this.#store.apply(input);
    this.#outcomes.set(name, output);
    return output;
  }

  async #attempt(input: KvInput, command: CommandName | null): Promise<Attempt> {
    await this.#turns();
    if (this.#random.chance(0.03)) return { type: "refused", reason: "busy" };
    if (this.#random.chance(0.03)) return { type: "unknown", reason: "lost on the way there" };
    if (this.#random.chance(0.02)) {
      void this.#late(input, command);
      return { type: "unknown", reason: "still on the way" };
    }
    const output = this.perform(input, command);
    await this.#turns();
    if (this.#random.chance(0.05)) return { type: "unknown", reason: "lost on the way back" };
    return { type: "ok", output };
  }

  async #late(input: KvInput, command: CommandName | null): Promise<void> {
    for (let count = 0; count < 10; count++) await this.#turns();
    this.perform(input, command);
  }

  /** Others come in between. */
  async #turns(): Promise<void> {
    for (let left = this.#random.below(TURNS_MAX + 1); left > 0; left--)
      await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
