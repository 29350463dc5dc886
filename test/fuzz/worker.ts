import { corpusOf } from "./corpus.ts";
import { Fuzzer, minimised } from "./fuzzer.ts";
import { targetNamed } from "./targets.ts";

declare const self: Worker;

export interface Job {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  /** Two 32-bit words (executions begun, bytes of the input), then the input that is being run. */
  readonly progress: SharedArrayBuffer;
}

export const PROGRESS_HEADER_BYTES = 8;
export const PROGRESS_BYTES: number = PROGRESS_HEADER_BYTES + 128 * 1024;

export type Report =
  | {
      readonly kind: "done";
      readonly executions: number;
      readonly outcomes: number;
      readonly fresh: number;
      readonly rssBytes: number;
    }
  | { readonly kind: "fault"; readonly input: Uint8Array; readonly error: string; readonly executions: number };

/** Mutants between two looks at the clock. */
const SLICE = 64;

async function work({ target: name, seed, seconds, progress }: Job): Promise<Report> {
  const target = targetNamed(name);
  const words = new Int32Array(progress, 0, 2);
  const shown = new Uint8Array(progress, PROGRESS_HEADER_BYTES);
  const watched = {
    ...target,
    run: (input: Uint8Array): string | Promise<string> => {
      shown.set(input.subarray(0, shown.length));
      Atomics.store(words, 1, input.length);
      Atomics.add(words, 0, 1);
      return target.run(input);
    },
  };
  const fuzzer = new Fuzzer(watched, seed);
  let fault = null;
  for (const { bytes } of corpusOf(name)) fault ??= await fuzzer.seed(bytes);
  const known = fuzzer.outcomes.size;
  const endMs = performance.now() + seconds * 1_000;
  while (fault === null && performance.now() < endMs) {
    for (let count = 0; count < SLICE && fault === null; count++) fault = await fuzzer.step();
  }
  const { executions, outcomes } = fuzzer;
  if (fault === null) {
    const rssBytes = process.memoryUsage().rss;
    return { kind: "done", executions, outcomes: outcomes.size, fresh: outcomes.size - known, rssBytes };
  }
  const input = Uint8Array.from(await minimised(watched, fault));
  const { error } = fault;
  return {
    kind: "fault",
    input,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    executions,
  };
}

if (!Bun.isMainThread) {
  self.onmessage = async (event: MessageEvent<Job>) => {
    self.postMessage(await work(event.data));
  };
}
