import { decode } from "../codec/codec.ts";
import { decodeMessage, isAvalancheBytes } from "../consensus/avalanche/messages.ts";
import { messageCodec as hotStuffCodec } from "../consensus/hotstuff/codec.ts";
import type { HotStuffMessage } from "../consensus/hotstuff/messages.ts";
import { statementOf as hotStuffStatement } from "../consensus/hotstuff/statements.ts";
import { messageCodec } from "../consensus/pbft/codec.ts";
import { statementOf } from "../consensus/pbft/statements.ts";
import { batchDigest } from "../dag/batch.ts";
import { unreachable } from "../lib/assert.ts";
import type { Statement } from "../membership/statement.ts";
import type { SimEngine } from "./plan.ts";

/** What the simulator must know of an engine's messages, beside the rules of its votes. */
export interface Protocol {
  /** First bytes of its messages: what a plan's losses name. */
  readonly messageKinds: readonly number[];
  /** @throws DecodeError */
  read(body: Uint8Array): Saying;
}

export interface Saying {
  /** In a few words, the kind first. */
  readonly label: string;
  /** What two of cannot both be said of one view and sequence; null where its signer may say several. */
  readonly statement: Statement | null;
  /** Whether it shows by itself that its sender lies. */
  readonly isForged: boolean;
}

const PBFT: Protocol = {
  messageKinds: [0, 1, 2, 3, 4, 5],
  read: (body) => {
    const message = decode(messageCodec, body);
    const statement = statementOf(message);
    const { phase, view, sequence } = statement;
    const isForged =
      message.kind === "pre-prepare" && message.batch !== null && batchDigest(message.batch) !== message.digest;
    return { label: `${phase} v${view}${sequence === 0 ? "" : ` s${sequence}`}`, statement, isForged };
  },
};

const HOTSTUFF: Protocol = {
  messageKinds: [0, 1, 2, 3, 4, 5, 6],
  read: (body) => {
    const message = decode(hotStuffCodec, body);
    const { phase, view, sequence } = hotStuffStatement(message);
    const isForged = message.kind === "proposal" && batchDigest(message.batch) !== message.block.digest;
    const place = message.kind === "commit" || message.kind === "checkpoint" ? ` s${sequence}` : "";
    const label = `${message.kind === "proposal" ? phase : message.kind} v${view}${place}`;
    return { label, statement: isBinding(message) ? hotStuffStatement(message) : null, isForged };
  },
};

/** A time-out may be said again with a higher certificate; asking and telling bind nobody. */
function isBinding({ kind }: HotStuffMessage): boolean {
  return kind !== "timeout" && kind !== "ask" && kind !== "certificates";
}

/** Two votes, polls or answers of one signer are nothing that a third party could be shown; see `votes.ts`. */
const AVALANCHE: Protocol = {
  messageKinds: [64, 65, 66, ...PBFT.messageKinds],
  read: (body) =>
    isAvalancheBytes(body) ? { label: labelOf(body), statement: null, isForged: false } : PBFT.read(body),
};

function labelOf(body: Uint8Array): string {
  const message = decodeMessage(body);
  switch (message.kind) {
    case "query":
      return `query ${message.poll}`;
    case "answer":
      return `answer ${message.poll} to ${message.to}`;
    case "votes": {
      const accepts = message.entries.filter(({ level }) => level === "accept").length;
      return `votes ${accepts} accepts, ${message.entries.length - accepts} commits`;
    }
    default:
      return unreachable(message);
  }
}

/** An ordered engine runs beside the leaderless one: its messages are read by both. */
export const PROTOCOLS: Readonly<Record<SimEngine, Protocol>> = {
  pbft: PBFT,
  hotstuff: HOTSTUFF,
  avalanche: AVALANCHE,
};
