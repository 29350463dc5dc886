/** Between a stream and who reads it, in characters of JSON: more stays at the node until some are read. */
const WEIGHT_MAX = 16 * 1024 * 1024;

interface Waiter<E> {
  readonly resolve: (result: IteratorResult<E, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/** Events that wait for their reader. */
export class EventQueue<E> {
  #events: { readonly event: E; readonly weight: number }[] = [];
  /** Where the next one stands: taken events are cut off in one go, not one by one. */
  #head = 0;
  #weight = 0;
  readonly #waiters: Waiter<E>[] = [];
  #drained: (() => void)[] = [];
  #end: { readonly error: unknown } | null = null;

  get isFull(): boolean {
    return this.#weight > WEIGHT_MAX;
  }

  get isEnded(): boolean {
    return this.#end !== null;
  }

  push(event: E, weight: number): void {
    if (this.#end !== null) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) return waiter.resolve({ value: event, done: false });
    this.#events.push({ event, weight });
    this.#weight += weight;
  }

  /** Nothing comes after this. @param error what the reader gets after the last event; null for none */
  finish(error: unknown, dropsRest = false): void {
    if (this.#end !== null) return;
    this.#end = { error };
    if (dropsRest) this.#clear();
    for (const waiter of this.#waiters.splice(0)) this.#sayEnd(waiter);
    this.#wake();
  }

  /** Resolves when half of the room is free again, or nobody will read. */
  async whenRoomy(): Promise<void> {
    if (this.#end !== null || this.#weight <= WEIGHT_MAX / 2) return;
    await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  next(): Promise<IteratorResult<E, undefined>> {
    const first = this.#events[this.#head];
    if (first === undefined) {
      return new Promise((resolve, reject) => {
        const waiter = { resolve, reject };
        if (this.#end === null) this.#waiters.push(waiter);
        else this.#sayEnd(waiter);
      });
    }
    this.#head += 1;
    this.#weight -= first.weight;
    if (this.#head > this.#events.length / 2) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
    if (this.#weight <= WEIGHT_MAX / 2) this.#wake();
    return Promise.resolve({ value: first.event, done: false });
  }

  /** An error is told once; after it there is only the end. */
  #sayEnd({ resolve, reject }: Waiter<E>): void {
    const error = this.#end?.error ?? null;
    this.#end = { error: null };
    if (error === null) resolve({ value: undefined, done: true });
    else reject(error);
  }

  #clear(): void {
    this.#events = [];
    this.#head = 0;
    this.#weight = 0;
  }

  #wake(): void {
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}
