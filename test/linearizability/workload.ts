import { Random } from "../../src/sim/random.ts";
import { FAILED, type Operation, type Outcome, Recorder, UNKNOWN } from "./history.ts";
import type { KvInput, KvOutput } from "./kv-operations.ts";
import type { Attempt, CommandName, KvTarget } from "./kv-target.ts";
import { type InputOptions, MIX, randomInput, type Sight } from "./random-input.ts";

export interface WorkloadOptions {
  readonly seed: number;
  readonly clients: number;
  /** Of all clients together. */
  readonly operations: number;
  readonly input: InputOptions;
  /** After that an attempt has no answer. */
  readonly attemptMsMax: number;
  /** Attempts of one operation, each on another node; after the last without an answer its outcome is unknown. */
  readonly attemptsMax: number;
  readonly faults: readonly Fault[];
}

/** Something that is done to the nodes in the middle of it. */
export interface Fault {
  readonly name: string;
  /** When so many operations of the workload have ended, one way or another; attempts that time out move it on as well. */
  readonly afterOperations: number;
  /** The clients go on meanwhile. Faults are done one after the other. */
  run(): Promise<void>;
}

export const WORKLOAD: WorkloadOptions = {
  seed: 1,
  clients: 6,
  operations: 600,
  input: { keys: ["a", "b", "c", "r/a", "r/b"], rangePrefix: "r/", mix: MIX, comparesValues: false },
  attemptMsMax: 5_000,
  attemptsMax: 4,
  faults: [],
};

export interface Recorded {
  readonly history: readonly Operation<KvInput, KvOutput>[];
  /** Faults that were done, in their order. */
  readonly faults: readonly string[];
  /** Why attempts brought no answer, and how often. */
  readonly reasons: ReadonlyMap<string, number>;
}

/**
 * Clients that each do one random operation after the other, on nodes at random, and the history of what they saw.
 * @param now monotonic, of this process. @throws what a fault throws, once all clients have ended
 */
export async function runWorkload(
  targets: readonly KvTarget[],
  options: WorkloadOptions,
  now: () => number = () => performance.now(),
): Promise<Recorded> {
  return await new Workload(targets, options, now).run();
}

class Workload {
  readonly #targets: readonly KvTarget[];
  readonly #options: WorkloadOptions;
  readonly #recorder: Recorder<KvInput, KvOutput>;
  readonly #sights = new Map<string, Sight>();
  readonly #reasons = new Map<string, number>();
  readonly #faultsDone: string[] = [];
  #faultsLeft: readonly Fault[];
  #faultsUnderWay: Promise<void> = Promise.resolve();
  #begun = 0;
  #ended = 0;

  constructor(targets: readonly KvTarget[], options: WorkloadOptions, now: () => number) {
    if (targets.length === 0) throw new RangeError("a workload needs a node to speak to");
    this.#targets = targets;
    this.#options = options;
    this.#recorder = new Recorder(now);
    this.#faultsLeft = options.faults.toSorted((left, right) => left.afterOperations - right.afterOperations);
  }

  async run(): Promise<Recorded> {
    this.#beginFaults();
    const clients = Array.from({ length: this.#options.clients }, (_, index) => this.#client(index));
    await Promise.all(clients);
    await this.#faultsUnderWay;
    return { history: this.#recorder.history(), faults: this.#faultsDone, reasons: this.#reasons };
  }

  async #client(index: number): Promise<void> {
    const { seed, operations, input: options } = this.#options;
    const random = Random.of(seed, index);
    // Another seed on the same nodes must not meet the sessions of this one.
    const client = hex(random) + hex(random) + hex(random) + hex(random);
    for (let number = 1; this.#begun < operations; number++) {
      const value = `${client.slice(0, 4)}-${index}-${number}`;
      this.#begun++;
      const input = randomInput(random, options, value, (key) => this.#sights.get(key) ?? null);
      const isRead = input.type === "get" || input.type === "range";
      await (isRead
        ? this.#read(`c${index}`, random, input)
        : this.#write(`c${index}`, random, input, { client, number }));
      this.#ended++;
      this.#beginFaults();
    }
  }

  /** Each attempt is a read of its own: what has no answer says nothing, and need not widen the time of what has. */
  async #read(client: string, random: Random, input: KvInput): Promise<void> {
    for (const target of this.#route(random)) {
      const end = this.#recorder.begin(client, input);
      const attempt = await this.#attempt(target, input, null);
      end(attempt.type === "ok" ? attempt : FAILED);
      if (attempt.type === "ok") return this.#remember(input, attempt.output);
    }
  }

  /** One command from its first attempt to its answer: the nodes do it once, however often it is sent. */
  async #write(client: string, random: Random, input: KvInput, command: CommandName): Promise<void> {
    const end = this.#recorder.begin(client, input);
    let outcome: Outcome<KvOutput> = FAILED;
    for (const target of this.#route(random)) {
      const attempt = await this.#attempt(target, input, command);
      if (attempt.type === "ok") {
        outcome = attempt;
        break;
      }
      // A refusal now does not take back what an earlier attempt may have done.
      if (attempt.type === "unknown") outcome = UNKNOWN;
    }
    end(outcome);
    if (outcome.type === "ok") this.#remember(input, outcome.output);
  }

  /** The nodes in the order of the attempts; the same again where there are fewer nodes than attempts. */
  #route(random: Random): readonly KvTarget[] {
    const order = random.shuffled(this.#targets);
    return Array.from({ length: this.#options.attemptsMax }, (_, at) => order[at % order.length] as KvTarget);
  }

  async #attempt(target: KvTarget, input: KvInput, command: CommandName | null): Promise<Attempt> {
    const attempt = await target.attempt(input, command, AbortSignal.timeout(this.#options.attemptMsMax));
    if (attempt.type !== "ok") this.#reasons.set(attempt.reason, (this.#reasons.get(attempt.reason) ?? 0) + 1);
    return attempt;
  }

  #remember(input: KvInput, output: KvOutput): void {
    if (input.type === "range") return;
    const item = itemAfter(input, output);
    if (item !== null) this.#sights.set(input.key, item);
  }

  #beginFaults(): void {
    const due = this.#faultsLeft.filter(({ afterOperations }) => afterOperations <= this.#ended);
    this.#faultsLeft = this.#faultsLeft.slice(due.length);
    for (const fault of due) {
      this.#faultsUnderWay = this.#faultsUnderWay.then(async () => {
        await fault.run();
        this.#faultsDone.push(fault.name);
      });
      // It is reported when the clients have ended; until then it must not count as unhandled.
      this.#faultsUnderWay.catch(() => {});
    }
  }
}

function itemAfter(input: Exclude<KvInput, { type: "range" }>, output: KvOutput): Sight | null {
  if (output.type === "read") {
    const version = output.item?.version;
    return { value: output.item?.value ?? null, version: typeof version === "number" ? version : null };
  }
  if (output.type !== "written" || typeof output.version !== "number") return null;
  const value = input.type === "put" ? input.value : input.type === "compare-and-set" ? input.next : null;
  return { value, version: value === null ? null : output.version };
}

function hex(random: Random): string {
  return random.next().toString(16).padStart(8, "0");
}
