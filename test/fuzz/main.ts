import { parseArgs } from "node:util";
import { keep, shortHash } from "./corpus.ts";
import { TARGETS, targetNamed } from "./targets.ts";
import { type Job, PROGRESS_BYTES, PROGRESS_HEADER_BYTES, type Report } from "./worker.ts";

/** One input takes milliseconds; one that takes this long is a hang. */
const HANG_MS = 10_000;

const USAGE = `Fuzzes every decoder.

  --seed N      the seed of the mutations; drawn and printed where it is not given
  --seconds S   for how long in all (default 60), shared evenly by the targets
  --target T    one target only: ${TARGETS.map(({ name }) => name).join(", ")}
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seconds: { type: "string" },
      target: { type: "string" },
      help: { type: "boolean" },
    },
  });
  const seed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  const seconds = Number(values.seconds ?? 60);
  if (values.help === true || !Number.isSafeInteger(seed) || !(seconds > 0)) {
    process.stderr.write(USAGE);
    return values.help === true ? 0 : 2;
  }
  const targets = values.target === undefined ? TARGETS : [targetNamed(values.target)];
  process.stdout.write(`seed ${seed}, ${targets.length} targets, ${seconds} s\n`);
  const worker = new Worker(new URL("./worker.ts", import.meta.url).href);
  for (const { name } of targets) {
    const each = seconds / targets.length;
    const report = await run(worker, {
      target: name,
      seed,
      seconds: each,
      progress: new SharedArrayBuffer(PROGRESS_BYTES),
    });
    if (report.kind === "done") {
      const rate = Math.round(report.executions / each);
      const rss = Math.round(report.rssBytes / 2 ** 20);
      process.stdout.write(
        `${name.padEnd(24)} ${String(rate).padStart(8)} executions/s  ${String(report.outcomes).padStart(6)} outcomes` +
          ` (${report.fresh} beyond the corpus)  ${rss} MB\n`,
      );
      continue;
    }
    const file = keep(name, `crash-${shortHash(report.input)}`, report.input);
    process.stdout.write(
      `${name}: a fault after ${report.executions} executions\n${report.error}\n` +
        `the input (${report.input.length} bytes) is kept in ${file}\n` +
        `again: bun test test/fuzz/fuzz.test.ts -t ${name}, or npm run fuzz -- --target ${name} --seed ${seed}\n`,
    );
    return 1;
  }
  return 0;
}

/** What the worker reports, or that it hangs: it is watched from outside, because nothing inside could interrupt it. */
async function run(worker: Worker, job: Job): Promise<Report> {
  const { promise, resolve, reject } = Promise.withResolvers<Report>();
  worker.onmessage = (event: MessageEvent<Report>) => resolve(event.data);
  worker.onerror = (event) => reject(new Error(event.message));
  const words = new Int32Array(job.progress, 0, 2);
  let last = -1;
  const watch = setInterval(() => {
    const executions = Atomics.load(words, 0);
    const isStuck = executions === last;
    last = executions;
    if (!isStuck) return;
    const input = new Uint8Array(job.progress, PROGRESS_HEADER_BYTES).slice(0, Atomics.load(words, 1));
    resolve({ kind: "fault", input, error: `no end within ${HANG_MS} ms`, executions });
  }, HANG_MS);
  worker.postMessage(job);
  try {
    return await promise;
  } finally {
    clearInterval(watch);
  }
}

process.exit(await main());
