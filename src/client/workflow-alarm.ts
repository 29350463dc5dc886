import { abortable } from "./patience.ts";

/** What timers can hold. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Wakes the one who waits. A ring that nobody waits for is kept for the next wait: who looks meanwhile looks again. */
export class Alarm {
  #isRung = false;
  #wake: () => void = () => undefined;

  ring(): void {
    this.#isRung = true;
    this.#wake();
  }

  /** True where it rang, false where so many milliseconds went by. @throws CretoError the signal's reason */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#isRung) {
      await abortable(signal, (resolve) => {
        const timer = setTimeout(resolve, Math.min(ms, TIMER_MS_MAX));
        this.#wake = () => resolve();
        return () => {
          clearTimeout(timer);
          this.#wake = () => undefined;
        };
      });
    }
    const hasRung = this.#isRung;
    this.#isRung = false;
    return hasRung;
  }
}
