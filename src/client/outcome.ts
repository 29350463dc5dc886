import type { Fields } from "./fields.ts";
import type { CommandId } from "./session.ts";

/** Where a command took its place: equal at all nodes, whichever of them answered. */
export interface CommandPlace extends CommandId {
  /** In the total order, from 1. */
  readonly position: number;
  readonly batch: number;
  /** The vertex that carried it; null in a replay, where that is no longer known. */
  readonly hash: string | null;
  /** Of the node's state after the batch, or after a later one. */
  readonly stateHash: string;
  /**
   * The node that answered had applied it before it was asked: this is what it remembers. False says less: a node that had not
   * executed the first one yet when it was sent again answers as the first one was answered, with the same `position`.
   */
  readonly isReplay: boolean;
}

/** What became of a command, for good. A refusal by the application is an outcome, not an error. */
export type CommandOutcome =
  /** `result` is null for a replay of one whose result was too large to be remembered. */
  | (CommandPlace & { readonly status: "applied"; readonly result: Uint8Array | null })
  /** `result` is what the application says besides, such as what it met; null where that is nothing. */
  | (CommandPlace & { readonly status: "rejected"; readonly reason: string; readonly result: Uint8Array | null });

export interface QueryAnswer {
  readonly answer: Uint8Array;
  /** The last position that the state which answered had applied. */
  readonly position: number;
  readonly batch: number;
  readonly stateHash: string;
}

export function outcomeOf(fields: Fields, id: CommandId): CommandOutcome {
  const place = {
    ...id,
    position: fields.count("position"),
    batch: fields.count("batch"),
    hash: fields.maybe("hash", fields.text),
    stateHash: fields.text("stateHash"),
    isReplay: fields.flag("isReplay"),
  };
  const status = fields.word("status", ["applied", "rejected"]);
  const result = fields.maybe("result", fields.bytes);
  if (status === "applied") return { ...place, status, result };
  return { ...place, status, reason: fields.maybe("reason", fields.text) ?? "", result };
}

export function queryAnswerOf(fields: Fields): QueryAnswer {
  return {
    answer: fields.bytes("answer"),
    position: fields.count("position"),
    batch: fields.count("batch"),
    stateHash: fields.text("stateHash"),
  };
}
