import type { Hash } from "../lib/hash.ts";
import type { Change } from "../replication/key-value/changes.ts";
import type { ClientId, Command } from "../replication/command.ts";
import type { Outcome } from "../replication/outcome.ts";

/** The replicated application of a network that orders everything, at this node. */
export interface ApplicationService {
  /** As the genesis names it, or the user's file. */
  readonly name: string;
  /**
   * Orders commands, each exactly once however often and at however many nodes it is asked for, and resolves when the last of them has
   * taken effect here. Outcomes are in the order of the commands.
   * Rejects with NodeError: what `NodeService.submit` says, `number-forgotten`, `timeout` (asking again with the same number is safe).
   */
  command(commands: readonly Command[], options: { readonly timeoutMs: number }): Promise<readonly CommandOutcome[]>;
  /**
   * What is remembered of a client's number; null where nothing is, as at a node that lags, and `forgotten` where the number
   * is below those that are remembered of this client.
   */
  outcome(client: ClientId, number: number): CommandOutcome | "forgotten" | null;
  /**
   * The application's answer. `local`: from this node's state, which may lag. `linearizable`: from a state that has seen
   * every command whose outcome anybody was told before this call.
   * Rejects with NodeError: `malformed-question`, `timeout`, and what `submit` says where it is linearizable.
   */
  query(
    question: Uint8Array,
    options: { readonly consistency: Consistency; readonly timeoutMs: number },
  ): Promise<QueryAnswer>;
  /** Where this node's state stands. */
  standing(): ApplicationStanding;
  /** The key-value store's changes; null where the application is another one. */
  readonly changes: ChangeFeed | null;
}

export type Consistency = "local" | "linearizable";

export interface CommandOutcome extends Outcome {
  readonly client: ClientId;
  /** The vertex that carried it; null where it is not known any more, or another one carried it first. */
  readonly hash: Hash | null;
  /** `Replica.root` after the last batch that this node executed, which is the command's or a later one. */
  readonly stateHash: Hash;
  /** It had taken effect before it was asked for this time. */
  readonly isReplay: boolean;
}

export interface ApplicationStanding {
  /** The last vertex and batch that the state has seen, and its root. */
  readonly position: number;
  readonly batch: number;
  readonly stateHash: Hash;
}

export interface QueryAnswer extends ApplicationStanding {
  readonly answer: Uint8Array;
}

/** The last changes of keys, for those who watch. */
export interface ChangeFeed {
  /**
   * Calls back with changes as they become durable, ascending by position, until the answer is called. With `from`, those from that position on
   * come first. A listener must not throw or block.
   * @param onGap called where changes went by that nobody here knows: one batch had more than are kept, or the state came
   * from a snapshot. Nothing else is called after that.
   * @throws NodeError `too-old` where changes from that position on are not kept any more
   */
  subscribe(listener: (changes: readonly Change[]) => void, from: number | null, onGap: () => void): () => void;
}
