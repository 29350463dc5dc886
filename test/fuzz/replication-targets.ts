import { decode, encode } from "../../src/codec/codec.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import type { Position, Sequence } from "../../src/membership/ids.ts";
import { type ClientId, commandCodec } from "../../src/replication/command.ts";
import { KeyValueStore } from "../../src/replication/key-value/key-value-store.ts";
import { kvCommandCodec } from "../../src/replication/key-value/kv-command.ts";
import {
  ANSWER_BYTES_MAX,
  type KvQuestion,
  kvAnswerCodec,
  kvQuestionCodec,
} from "../../src/replication/key-value/kv-query.ts";
import { ledgerCommandCodec, ledgerReceiptCodec } from "../../src/replication/ledger/ledger-command.ts";
import {
  type LedgerQuestion,
  ledgerAnswerCodec,
  ledgerQuestionCodec,
} from "../../src/replication/ledger/ledger-query.ts";
import { OrderedLedger } from "../../src/replication/ledger/ordered-ledger.ts";
import { Owners } from "../../src/replication/ledger/owners.ts";
import { outcomeCodec } from "../../src/replication/outcome.ts";
import { type CommandContext, CommandRejected, QueryRefused } from "../../src/replication/replicated.ts";
import { Sessions } from "../../src/replication/sessions.ts";
import { sessionsRecordCodec } from "../../src/replication/sessions-record.ts";
import { manifestCodec } from "../../src/replication/snapshot.ts";
import { bucket, codecTarget, promise, type Target } from "./target.ts";

const CONTEXT: CommandContext = {
  position: 9 as Position,
  sequence: 2 as Sequence,
  timestampMs: 1_000,
  creator: "c".repeat(64) as NodeId,
  client: "0".repeat(32) as ClientId,
  number: 1,
  seed: new Uint8Array(32),
};

const KEYS = ["a", "b", "c"];

function filledStore(): KeyValueStore {
  const store = new KeyValueStore();
  for (const [at, key] of KEYS.entries()) {
    const put = encode(kvCommandCodec, { kind: "put", key, value: Uint8Array.of(1, 2) });
    store.apply(put, { ...CONTEXT, position: (at + 1) as Position });
  }
  return store;
}

function applied(body: Uint8Array): string {
  const store = filledStore();
  const before = store.stateHash().toHex();
  try {
    store.apply(body, CONTEXT);
  } catch (error) {
    if (!(error instanceof CommandRejected)) throw error;
    promise(store.stateHash().toHex() === before, "a command that was refused changed the state");
    return error.message;
  }
  const copy = new KeyValueStore();
  copy.restore(store.snapshot());
  promise(copy.stateHash().toHex() === store.stateHash().toHex(), "a snapshot of the state is another state");
  return `${bucket(store.takeChanges().items.length)} changes`;
}

const questioned = filledStore();

function answered(question: KvQuestion): string {
  try {
    const answer = questioned.query(encode(kvQuestionCodec, question));
    promise(answer.length <= ANSWER_BYTES_MAX, "an answer above its bound");
    return decode(kvAnswerCodec, answer).kind;
  } catch (error) {
    if (!(error instanceof QueryRefused)) throw error;
    return error.code;
  }
}

function newLedger(): OrderedLedger {
  const owners = new Owners([
    { name: "a", nodeId: CONTEXT.creator },
    { name: "b", nodeId: "b".repeat(64) as NodeId },
  ]);
  const ledger = new OrderedLedger({
    accounts: new Map([
      ["a/x", 9n],
      ["b/x", 5n],
    ]),
    owners,
  });
  const approval = { kind: "approve", account: "b/x", spender: "a/x", amount: 4n, expected: null } as const;
  ledger.apply(encode(ledgerCommandCodec, approval), { ...CONTEXT, creator: "b".repeat(64) as NodeId });
  return ledger;
}

function ledgerApplied(body: Uint8Array): string {
  const ledger = newLedger();
  const before = ledger.stateHash().toHex();
  try {
    const receipt = decode(ledgerReceiptCodec, ledger.apply(body, CONTEXT));
    promise(ledger.audit().total === 14n && ledger.audit().lowest >= 0n, "units were made or lost");
    const copy = newLedger();
    copy.restore(ledger.snapshot());
    promise(copy.stateHash().toHex() === ledger.stateHash().toHex(), "a snapshot of the state is another state");
    return receipt.kind;
  } catch (error) {
    if (!(error instanceof CommandRejected)) throw error;
    promise(ledger.stateHash().toHex() === before, "a command that was refused changed the state");
    return error.message;
  }
}

const asked = newLedger();

function ledgerAnswered(question: LedgerQuestion): string {
  try {
    return decode(ledgerAnswerCodec, asked.query(encode(ledgerQuestionCodec, question))).kind;
  } catch (error) {
    if (!(error instanceof QueryRefused)) throw error;
    return error.code;
  }
}

/** A chunk as a snapshot of a ledger: it is refused, or holds the same units. */
function ledgerRestored(chunk: Uint8Array): string {
  const ledger = newLedger();
  try {
    ledger.restore([chunk]);
  } catch (error) {
    if (error instanceof Error && error.name === "Bug") throw error;
    return "refused";
  }
  promise(ledger.audit().total === 14n, "a snapshot brought other units");
  return "restored";
}

/** A record as a snapshot of sessions: it is refused, or there are sessions with a digest. */
function restored(chunk: Uint8Array): string {
  let sessions: Sessions;
  try {
    sessions = Sessions.restored([chunk]);
  } catch (error) {
    if (error instanceof Error && error.name === "Bug") throw error;
    return "refused";
  }
  sessions.digest();
  return `${bucket(sessions.size)} sessions`;
}

export const REPLICATION_TARGETS: readonly Target[] = [
  codecTarget("command", commandCodec),
  codecTarget("outcome", outcomeCodec),
  codecTarget("sessions-record", sessionsRecordCodec, (record) => restored(encode(sessionsRecordCodec, record))),
  codecTarget("snapshot-manifest", manifestCodec),
  codecTarget("kv-command", kvCommandCodec, (command) => applied(encode(kvCommandCodec, command))),
  codecTarget("kv-question", kvQuestionCodec, answered),
  codecTarget("kv-answer", kvAnswerCodec),
  codecTarget("ledger-command", ledgerCommandCodec, (command) => ledgerApplied(encode(ledgerCommandCodec, command))),
  codecTarget("ledger-receipt", ledgerReceiptCodec),
  codecTarget("ledger-question", ledgerQuestionCodec, ledgerAnswered),
  codecTarget("ledger-answer", ledgerAnswerCodec),
  { name: "ledger-chunk", sizeMax: 1_024, run: ledgerRestored },
];
