import { type Answer, detailOf } from "./node-client.ts";

/** For so long a command sends again what a node was too busy, or not ready, to take. */
const PATIENCE_MS = 60_000;

/** Where the node does not say when to come back. */
const PAUSE_MS_DEFAULT = 1_000;

/** How long one command goes on with a node that cannot answer now. Who waits is told once what for, on standard error. */
export class Patience {
  readonly #endMs = performance.now() + PATIENCE_MS;
  #hasSpoken = false;

  get isOver(): boolean {
    return performance.now() >= this.#endMs;
  }

  /** Until the node may be asked again. */
  async pause({ status, body, retryAfterMs }: Answer): Promise<void> {
    // An overloaded node (429) takes it in a moment: that is the pace of a long input, and no news.
    if (status !== 429 && !this.#hasSpoken) {
      this.#hasSpoken = true;
      console.error(
        `the node answered ${status}: ${detailOf(body)}; trying again for ${PATIENCE_MS / 1_000} s at most`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, retryAfterMs ?? PAUSE_MS_DEFAULT));
  }
}
