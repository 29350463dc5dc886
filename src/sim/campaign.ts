import { fileURLToPath } from "node:url";
import type { Plan } from "./plan.ts";
import { printPlan } from "./plan-file.ts";
import { type RunResult, runPlan } from "./run.ts";

export interface CampaignOptions {
  readonly seedFrom: number;
  readonly runs: number;
  readonly planOf: (seed: number) => Plan;
  /** Processes that run plans; 1 runs them in this one. Default 1. */
  readonly jobs?: number;
  /** One run longer than this hangs, in real milliseconds; looked at only in processes of their own. Default 600,000. */
  readonly hangMs?: number;
}

export interface TimedResult extends RunResult {
  /** Real time of this run. */
  readonly wallMs: number;
}

export type CampaignErrorCode = "hung" | "worker-died";

/** A run that has no result; the message names its seed. */
export class CampaignError extends Error {
  override readonly name = "CampaignError";
  readonly code: CampaignErrorCode;
  readonly seed: number;

  constructor(code: CampaignErrorCode, seed: number, message: string) {
    super(message);
    this.code = code;
    this.seed = seed;
  }
}

const HANG_MS = 600_000;

const WORKER = fileURLToPath(new URL("./campaign-worker.ts", import.meta.url));

/** How far a quick process may be ahead of the slowest run: what waits for its turn is kept. */
const AHEAD_MAX = 64;

/**
 * One result a seed, in the order of the seeds, however many processes take part.
 * @throws CampaignError
 */
export async function* campaign(options: CampaignOptions): AsyncGenerator<TimedResult, void, undefined> {
  const { seedFrom, runs, planOf, jobs = 1 } = options;
  const count = Math.min(jobs, runs);
  if (count > 1) return yield* inProcesses(options, count);
  for (let run = 0; run < runs; run++) yield await timed(planOf(seedFrom + run));
}

/** One run, with the real time that it took. */
export async function timed(plan: Plan): Promise<TimedResult> {
  const beganMs = performance.now();
  const result = await runPlan(plan);
  return { ...result, wallMs: performance.now() - beganMs };
}

async function* inProcesses(options: CampaignOptions, count: number): AsyncGenerator<TimedResult, void, undefined> {
  const { seedFrom, runs, planOf, hangMs = HANG_MS } = options;
  const workers = Array.from({ length: count }, () => new RunProcess());
  const answers = new Map<number, PromiseWithResolvers<TimedResult>>();
  const answerTo = (run: number): PromiseWithResolvers<TimedResult> => {
    const known = answers.get(run) ?? Promise.withResolvers<TimedResult>();
    answers.set(run, known);
    return known;
  };
  let next = 0;
  let told = 0;
  let moved = Promise.withResolvers<void>();
  const work = async (worker: RunProcess): Promise<void> => {
    while (next < runs) {
      if (next >= told + AHEAD_MAX) {
        await moved.promise;
        continue;
      }
      const answer = answerTo(next);
      // A failure is told in its turn.
      answer.promise.catch(() => undefined);
      const plan = planOf(seedFrom + next);
      next += 1;
      await worker.run(plan, hangMs).then(answer.resolve, answer.reject);
    }
  };
  const working = workers.map(work);
  try {
    for (; told < runs; ) {
      yield await answerTo(told).promise;
      answers.delete(told);
      told += 1;
      moved.resolve();
      moved = Promise.withResolvers();
    }
  } finally {
    next = runs;
    moved.resolve();
    for (const worker of workers) worker.end();
    await Promise.all(working);
  }
}

/** A process that runs one plan after the other, until its input ends. */
class RunProcess {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncGenerator<string, void, undefined>;

  constructor() {
    this.#child = Bun.spawn([process.execPath, WORKER], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#lines = linesOf(this.#child.stdout);
  }

  async run(plan: Plan, hangMs: number): Promise<TimedResult> {
    const { seed } = plan;
    let hung = false;
    const timer = setTimeout(() => {
      hung = true;
      this.end();
    }, hangMs);
    try {
      this.#child.stdin.write(`${JSON.stringify(printPlan({ about: "", plan }))}\n`);
      await this.#child.stdin.flush();
      const line = (await this.#lines.next()).value;
      if (typeof line === "string") return JSON.parse(line) as TimedResult;
    } catch {
      // The process is gone; said below.
    } finally {
      clearTimeout(timer);
    }
    if (hung) throw new CampaignError("hung", seed, `the run of seed ${seed} did not end within ${hangMs} ms`);
    throw new CampaignError("worker-died", seed, `the process that ran seed ${seed} ended without a result`);
  }

  /** What it runs is of no interest any more. */
  end(): void {
    this.#child.kill("SIGKILL");
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
