import type { Bytes } from "./vertices.ts";

/** One step of a run. Names are 1 to 64 letters, digits, dots, colons, hyphens and underscores. */
export interface WorkflowStep {
  /** Unique in its run. */
  readonly name: string;
  /** What workers serve it by; its name unless given. */
  readonly handler?: string;
  /** Names of the steps that must complete before it; none unless given. */
  readonly dependsOn?: readonly string[];
  /** Up to 64 KiB; empty unless given. All of a definition has 128 KiB at most. */
  readonly input?: Bytes;
  /** How often it may fail or lose its lease, 1 to 100; the last time fails the run. 3 unless given. */
  readonly attempts?: number;
  /** Milliseconds before a failed step is tried again, doubled with each failure, an hour at most; 1,000 unless given. */
  readonly backoffMs?: number;
}

export const STEP_STATES = ["blocked", "ready", "leased", "completed", "failed", "abandoned"] as const;

/** Times are the network's agreed ones, in Unix milliseconds. */
export interface StepStatus {
  readonly name: string;
  readonly handler: string;
  /** `blocked`: waits for others. `abandoned`: its run ended before it. */
  readonly state: (typeof STEP_STATES)[number];
  /** The number of its last claim; 0 before the first. */
  readonly attempt: number;
  /** Attempts that failed, or lost their lease. */
  readonly failures: number;
  /** Who holds it; null unless leased. */
  readonly worker: string | null;
  /** From when it can be claimed, where it is ready; until when it is held, where it is leased; else null. */
  readonly timeMs: number | null;
  /** Null unless failed. */
  readonly reason: string | null;
}

export interface RunSummary {
  readonly run: string;
  readonly state: "running" | "completed" | "failed" | "cancelled";
  /** Why it failed or was cancelled; null otherwise. */
  readonly reason: string | null;
  readonly startedAtMs: number;
  /** Null while it runs. */
  readonly endedAtMs: number | null;
  readonly steps: number;
  readonly completed: number;
  /** Of the command that started it. */
  readonly position: number;
}

export interface RunStatus extends RunSummary {
  /** In the order of the definition. */
  readonly all: readonly StepStatus[];
}

/** A claim of a step: what the calls of its worker name it by. */
export interface StepLease {
  readonly run: string;
  readonly step: string;
  readonly attempt: number;
  readonly worker: string;
}

export interface WorkflowTask extends StepLease {
  readonly handler: string;
  /** `<run>/<step>/<attempt>`: differs from attempt to attempt. */
  readonly token: string;
  readonly input: Uint8Array;
  /** The outputs of the steps that it depends on, by their names. */
  readonly outputs: ReadonlyMap<string, Uint8Array>;
  /** The agreed time of the claim, and when its lease is over. */
  readonly nowMs: number;
  readonly untilMs: number;
}

/** What became of a claim where there is nothing to do. */
export interface NothingToClaim {
  readonly nowMs: number;
  /** When there may be something, as things stand; null where that depends on others. */
  readonly nextMs: number | null;
}

export interface Claimable {
  /** Steps that can be claimed, counted to 64. */
  readonly count: number;
  /** When the next one can be, as things stand; null where there is none. */
  readonly nextMs: number | null;
}

export interface TaskTools {
  /** Aborted when the lease is lost, the run has ended, or the worker stops and its grace is over: end what you do. */
  readonly signal: AbortSignal;
  /** Extends the lease now; it is extended by itself too. Rejects where it is lost. */
  readonly heartbeat: () => Promise<void>;
}

/** Does the work of a step and answers with its output. What it throws fails the attempt; a `StepFailed` may fail the run. */
export type StepHandler = (task: WorkflowTask, tools: TaskTools) => Bytes | Promise<Bytes>;
