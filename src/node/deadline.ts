import type { Clock } from "./ports.ts";
import { NodeError } from "./service.ts";

/** What is waited for, or NodeError `timeout` after so many milliseconds. */
export async function beforeDeadline<T>(clock: Clock, awaited: Promise<T>, timeoutMs: number): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const cancel = clock.setTimer(clock.monotonicMs() + timeoutMs, () => {
    timeout.reject(new NodeError("timeout", `not final after ${timeoutMs} ms; it stays accepted, ask for it later`));
  });
  try {
    return await Promise.race([awaited, timeout.promise]);
  } finally {
    cancel();
  }
}
