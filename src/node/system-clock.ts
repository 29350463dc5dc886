import type { Clock } from "./ports.ts";

/** The machine's own time. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (atMs, callback) => {
    let timer: ReturnType<typeof setTimeout>;
    // setTimeout cuts fractions off and so fires up to a millisecond early; who asked for a time must not be called before.
    const arm = (): void => {
      timer = setTimeout(fire, Math.max(0, Math.ceil(atMs - performance.now())));
    };
    const fire = (): void => {
      if (performance.now() < atMs) arm();
      else callback();
    };
    arm();
    return () => clearTimeout(timer);
  },
  defer: (callback) => {
    setImmediate(callback);
  },
};
