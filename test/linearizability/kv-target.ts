import type { KvInput, KvOutput } from "./kv-operations.ts";

/** How one attempt ended. */
export type Attempt =
  | { readonly type: "ok"; readonly output: KvOutput }
  /** The node surely did not take it in. */
  | { readonly type: "refused"; readonly reason: string }
  /** No answer, or one that tells nothing: it may have taken effect, or may do so yet. */
  | { readonly type: "unknown"; readonly reason: string };

/** Which command it is: the same one in every attempt, on whatever node. Reads have none. */
export interface CommandName {
  /** 32 hex characters. */
  readonly client: string;
  /** From 1. */
  readonly number: number;
}

/** One node, as a client sees it. */
export interface KvTarget {
  readonly name: string;
  /**
   * One attempt. Never throws for what a node or the network does: that is `refused` or `unknown`. After `signal` aborts it
   * settles soon, as `unknown` unless the answer was there.
   */
  attempt(input: KvInput, command: CommandName | null, signal: AbortSignal): Promise<Attempt>;
}
