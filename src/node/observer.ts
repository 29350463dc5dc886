import type { Trace } from "../consensus/engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Equivocation } from "../membership/equivocation.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export type Log = (level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>) => void;

/** What the loop tells those who watch it: metrics, logs, spans, a simulator's checkers. Nothing here may throw. */
export interface LoopObserver {
  readonly log: Log;
  onTrace(trace: Trace): void;
  onTurn(turn: { readonly statements: number; readonly writes: number; readonly durationMs: number }): void;
  /** Vertices of this node's clients that became durable. */
  onProposed(vertices: number): void;
  onFinalized(vertices: number, bundles: number): void;
  /** From acceptance here to finality, for `vertices` of this node's own clients. */
  onFinality(vertices: number, finalityMs: number): void;
  /** Correct peers send such things too; too many of them are a violation. */
  onIgnored(peer: NodeId, reason: string): void;
  onRejected(peer: NodeId, reason: string): void;
  onEquivocation(equivocation: Equivocation): void;
}
