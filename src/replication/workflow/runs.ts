import { digestOf, hashOf } from "../../crypto/hash.ts";
import { present } from "../../lib/assert.ts";
import type { Position } from "../../membership/ids.ts";
import { HashTrie } from "../hash-trie.ts";
import { packChunks, unpackChunks } from "../snapshot-chunks.ts";
import { Agenda } from "./agenda.ts";
import { ACTIVE_BYTES_MAX, ACTIVE_RUNS_MAX, ENDED_BYTES_MAX, ENDED_RUNS_MAX } from "./limits.ts";
import {
  type Ending,
  encodeRecord,
  pathOf,
  type RunRecord,
  recordCodec,
  type StateRecord,
  type StepRecord,
  type StepState,
} from "./records.ts";
import { bytesOf, type Run, runFault, runOf } from "./run.ts";

/** Less than usual, for tests. */
export interface RunsLimits {
  readonly activeRuns?: number;
  readonly endedRuns?: number;
  readonly activeBytes?: number;
  readonly endedBytes?: number;
}

/** Where and when a command takes effect. */
export interface Moment {
  readonly position: Position;
  readonly timestampMs: number;
}

/** All runs: the state, with its hash, and what follows from it. */
export class Runs {
  readonly #limits: Required<RunsLimits>;
  /** In the order of their starts. */
  readonly #runs = new Map<string, Run>();
  /** Names of those that have ended, in that order. */
  readonly #ended = new Set<string>();
  readonly #agenda = new Agenda();
  readonly #trie = new HashTrie<StateRecord>();
  /** Records whose place in the trie is not yet what it has to be: those of one batch. */
  readonly #touched = new Map<string, StateRecord>();
  /** Runs that one command changed, with the handlers of the steps that it made ready. */
  #changed = new Map<string, Set<string>>();
  #activeBytes = 0;
  #endedBytes = 0;

  constructor(limits: RunsLimits = {}) {
    this.#limits = {
      activeRuns: ACTIVE_RUNS_MAX,
      endedRuns: ENDED_RUNS_MAX,
      activeBytes: ACTIVE_BYTES_MAX,
      endedBytes: ENDED_BYTES_MAX,
      ...limits,
    };
  }

  get agenda(): Pick<Agenda, "first" | "claimable"> {
    return this.#agenda;
  }

  get(name: string): Run | null {
    return this.#runs.get(name) ?? null;
  }

  /** In the order of their starts. */
  all(): Iterable<Run> {
    return this.#runs.values();
  }

  hasRoomForRun(bytes: number): boolean {
    return this.#runs.size - this.#ended.size < this.#limits.activeRuns && this.hasRoom(bytes);
  }

  hasRoom(bytes: number): boolean {
    return this.#activeBytes + bytes <= this.#limits.activeBytes;
  }

  /** A run of a name that none has. */
  add(run: Run): void {
    this.#enter(run);
    this.#touch(run.record);
    for (const step of run.steps) this.#touch(step);
  }

  /** Replaces what the step is. */
  put(run: Run, step: StepRecord): void {
    const before = present(run.steps[step.step], "the step");
    const grown = bytesOf(step) - bytesOf(before);
    this.#agenda.delete(before, run.record.started);
    this.#agenda.add(step, run.record.started);
    run.steps[step.step] = step;
    run.bytes += grown;
    this.#activeBytes += grown;
    this.#touch(step);
  }

  /** Ends a running run: what has not ended of it never will. */
  end(run: Run, how: Ending, reason: string, { position, timestampMs: atMs }: Moment): void {
    for (const step of run.steps) if (isOpen(step.state)) this.put(run, { ...step, state: { kind: "abandoned" } });
    run.record = { ...run.record, state: { kind: "ended", how, reason, atMs, position } };
    this.#touch(run.record);
    this.#activeBytes -= run.bytes;
    this.#endedBytes += run.bytes;
    this.#ended.add(run.record.run);
    for (const oldest of this.#ended) {
      if (this.#ended.size <= this.#limits.endedRuns && this.#endedBytes <= this.#limits.endedBytes) break;
      this.#drop(present(this.#runs.get(oldest), "an ended run"));
    }
  }

  /** The runs that changed since the last call, with the handlers of the steps that became ready. */
  takeChanged(): ReadonlyMap<string, ReadonlySet<string>> {
    const changed = this.#changed;
    this.#changed = new Map();
    return changed;
  }

  digest(): Uint8Array {
    this.#settle();
    return digestOf("workflow-state", this.#trie.digest());
  }

  snapshot(): Iterable<Uint8Array> {
    this.#settle();
    return packChunks(this.#trie.freeze(), encodeRecord);
  }

  /** @throws Error where the chunks are no state */
  static restored(chunks: Iterable<Uint8Array>, limits: RunsLimits): Runs {
    const runs = new Runs(limits);
    const heads = new Map<string, RunRecord>();
    const steps = new Map<string, StepRecord[]>();
    let last = "";
    for (const view of unpackChunks(recordCodec, chunks)) {
      const record = owned(view);
      const path = pathOf(record);
      if (path <= last) throw new Error(`a record of run ${record.run} is out of its place`);
      last = path;
      runs.#trie.set({ path, digest: hashOf("workflow-record", encodeRecord(record)), value: record });
      if (record.kind === "run") heads.set(record.run, record);
      else {
        const list = steps.get(record.run) ?? [];
        list[record.step] = record;
        steps.set(record.run, list);
      }
    }
    for (const name of new Set([...heads.keys(), ...steps.keys()])) {
      const fault = runFault(heads.get(name), Array.from(steps.get(name) ?? []));
      if (fault !== null) throw new Error(`run ${name}: ${fault}`);
    }
    for (const head of [...heads.values()].sort((left, right) => left.started - right.started))
      runs.#enter(runOf(head, present(steps.get(head.run), `steps of run ${head.run}`)));
    for (const { record } of [...runs.#runs.values()].sort(byEnd))
      if (record.state.kind === "ended") runs.#ended.add(record.run);
    return runs;
  }

  #enter(run: Run): void {
    this.#runs.set(run.record.run, run);
    for (const step of run.steps) this.#agenda.add(step, run.record.started);
    if (run.record.state.kind === "running") this.#activeBytes += run.bytes;
    else this.#endedBytes += run.bytes;
  }

  #drop(run: Run): void {
    this.#runs.delete(run.record.run);
    this.#ended.delete(run.record.run);
    this.#endedBytes -= run.bytes;
    this.#touch(run.record);
    for (const step of run.steps) this.#touch(step);
  }

  #touch(record: StateRecord): void {
    this.#touched.set(record.kind === "run" ? record.run : `${record.run}/${record.step}`, record);
    const ready = this.#changed.get(record.run) ?? new Set<string>();
    this.#changed.set(record.run, ready);
    if (record.kind === "step" && record.state.kind === "ready") ready.add(record.handler);
  }

  /** A record that is replaced several times in a batch is hashed once. */
  #settle(): void {
    for (const touched of this.#touched.values()) {
      const run = this.#runs.get(touched.run);
      const record = touched.kind === "run" ? run?.record : run?.steps[touched.step];
      const path = pathOf(touched);
      if (record === undefined) this.#trie.delete(path);
      else this.#trie.set({ path, digest: hashOf("workflow-record", encodeRecord(record)), value: record });
    }
    this.#touched.clear();
  }
}

function isOpen({ kind }: StepState): boolean {
  return kind === "blocked" || kind === "ready" || kind === "leased";
}

/** The order in which runs ended; several that one command ended, in the order of their starts. */
function byEnd({ record: left }: Run, { record: right }: Run): number {
  const at = ({ state }: RunRecord): number => (state.kind === "ended" ? state.position : 0);
  return at(left) - at(right) || left.started - right.started;
}

/** Without a view into a whole chunk. */
function owned(record: StateRecord): StateRecord {
  if (record.kind === "run") return record;
  const { input, state } = record;
  const own = state.kind === "completed" ? { ...state, output: state.output.slice() } : state;
  return { ...record, input: input.slice(), state: own };
}
