/** A way in which the history up to now can have happened. */
export interface Configuration<State> {
  readonly state: State;
  readonly key: string;
  /** Which of the open operations have taken effect, by their slots. */
  readonly done: bigint;
  /** Which of the operations without an answer have taken effect, by their numbers. */
  readonly used: bigint;
}

/**
 * Configurations of which none can do all that another can: with equal state and equal open operations, that one is
 * dropped which has used up more operations without an answer, as such an operation may still come later but never
 * has to. Without this, n unanswered writes would make 2^n configurations.
 */
export class Configurations<State> {
  readonly #byState = new Map<string, Configuration<State>[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @returns whether it can do something that no other here can */
  add(configuration: Configuration<State>): boolean {
    const name = `${configuration.done}|${configuration.key}`;
    const alike = this.#byState.get(name);
    if (alike === undefined) {
      this.#byState.set(name, [configuration]);
      this.#size++;
      return true;
    }
    const { used } = configuration;
    if (alike.some((other) => (other.used & used) === other.used)) return false;
    const kept = alike.filter((other) => (other.used & used) !== used);
    this.#size += kept.length + 1 - alike.length;
    kept.push(configuration);
    this.#byState.set(name, kept);
    return true;
  }

  *[Symbol.iterator](): Generator<Configuration<State>> {
    for (const alike of this.#byState.values()) yield* alike;
  }
}
