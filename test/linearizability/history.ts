/** How an operation ended, as its client saw it. */
export type Outcome<Output> =
  | { readonly type: "ok"; readonly output: Output }
  /** It has had no effect and will never have one. */
  | { readonly type: "failed" }
  /** No answer: it took effect at some time after its call, will do so later, or never does. */
  | { readonly type: "unknown" };

/** One operation of one client; the times are those of one monotonic clock in one process, in any unit. */
export interface Operation<Input, Output> {
  readonly client: string;
  readonly input: Input;
  readonly outcome: Outcome<Output>;
  readonly calledAt: number;
  /** When the answer came, or when the client gave up: what is unknown may take effect after that. */
  readonly returnedAt: number;
}

export const UNKNOWN: { readonly type: "unknown" } = { type: "unknown" };
export const FAILED: { readonly type: "failed" } = { type: "failed" };

interface Open<Input> {
  readonly client: string;
  readonly input: Input;
  readonly calledAt: number;
}

/** Writes a history. All clients must share one recorder: times of two processes cannot be compared. */
export class Recorder<Input, Output> {
  readonly #now: () => number;
  readonly #done: Operation<Input, Output>[] = [];
  readonly #open = new Set<Open<Input>>();

  /** @param now monotonic; two events at one time count as overlapping */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** To be called before the request leaves; what it answers is to be called once, after the answer has come. */
  begin(client: string, input: Input): (outcome: Outcome<Output>) => void {
    const open: Open<Input> = { client, input, calledAt: this.#now() };
    this.#open.add(open);
    return (outcome) => {
      if (!this.#open.delete(open)) throw new Error(`an operation of client ${client} ended twice`);
      this.#done.push({ ...open, outcome, returnedAt: this.#now() });
    };
  }

  /** In the order of the calls; what has not ended is unknown. */
  history(): readonly Operation<Input, Output>[] {
    const returnedAt = this.#now();
    const open = [...this.#open].map((operation) => ({ ...operation, outcome: UNKNOWN, returnedAt }));
    return [...this.#done, ...open].sort((left, right) => left.calledAt - right.calledAt);
  }
}
