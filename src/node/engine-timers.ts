import type { TimerName } from "../consensus/engine.ts";
import type { Clock } from "./ports.ts";

/** The engine's timers: one for each name, the newest wish counts. */
export class EngineTimers {
  readonly #clock: Clock;
  readonly #cancels = new Map<TimerName, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(name: TimerName, atMs: number, fire: () => void): void {
    this.cancel(name);
    const cancel = this.#clock.setTimer(atMs, () => {
      this.#cancels.delete(name);
      fire();
    });
    this.#cancels.set(name, cancel);
  }

  cancel(name: TimerName): void {
    this.#cancels.get(name)?.();
    this.#cancels.delete(name);
  }

  clear(): void {
    for (const name of [...this.#cancels.keys()]) this.cancel(name);
  }
}
