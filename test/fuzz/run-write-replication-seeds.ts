/** Writes the seeds of replication-targets.ts by the real encoders. Run by hand after a change of a format: `node scripts/bun.cjs test/fuzz/run-write-replication-seeds.ts`. */
import { type Codec, encode } from "../../src/codec/codec.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import { toHash } from "../../src/lib/hash.ts";
import type { Position, Sequence } from "../../src/membership/ids.ts";
import { type ClientId, commandCodec } from "../../src/replication/command.ts";
import { type KvCommand, type KvWrite, kvCommandCodec } from "../../src/replication/key-value/kv-command.ts";
import { kvAnswerCodec, kvQuestionCodec } from "../../src/replication/key-value/kv-query.ts";
import {
  type LedgerCommand,
  ledgerCommandCodec,
  ledgerReceiptCodec,
} from "../../src/replication/ledger/ledger-command.ts";
import { ledgerAnswerCodec, ledgerQuestionCodec } from "../../src/replication/ledger/ledger-query.ts";
import { OrderedLedger } from "../../src/replication/ledger/ordered-ledger.ts";
import { Owners } from "../../src/replication/ledger/owners.ts";
import { encodeOutcome, type Outcome, outcomeCodec, RESULT_KEPT_BYTES } from "../../src/replication/outcome.ts";
import { sessionsRecordCodec } from "../../src/replication/sessions-record.ts";
import { manifestCodec } from "../../src/replication/snapshot.ts";
import { keep } from "./corpus.ts";

function seed<T>(target: string, name: string, codec: Codec<T>, value: T): void {
  keep(target, `seed-${name}`, encode(codec, value));
}

const client = "000102030405060708090a0b0c0d0e0f" as ClientId;
const VALUE = Uint8Array.of(1, 2);
const at = (position: number): Position => position as Position;

const outcomeOf = (number: number, size: number): Outcome => ({
  number,
  position: at(10 + number),
  sequence: 3 as Sequence,
  status: "applied",
  result: { kind: "bytes", bytes: new Uint8Array(size) },
  reason: null,
});

function writeHost(): void {
  seed("command", "one", commandCodec, { client, number: 7, body: VALUE });
  const outcomes = [outcomeOf(1, 9), { ...outcomeOf(2, 0), status: "rejected" as const, reason: "conflict" }];
  outcomes.push({ ...outcomeOf(3, RESULT_KEPT_BYTES + 1), reason: null, status: "applied" });
  const remembered = outcomes.map((outcome) => ({ number: outcome.number, bytes: encodeOutcome(outcome) }));
  for (const { number, bytes } of remembered) keep("outcome", `seed-${number}`, bytes);
  seed("outcome", "small", outcomeCodec, outcomeOf(4, 0));
  const session = { kind: "session", client, usedAt: at(13), outcomes: remembered } as const;
  seed("sessions-record", "session", sessionsRecordCodec, session);
  seed("sessions-record", "retired", sessionsRecordCodec, { kind: "retired", clients: [client] });
  const [one, two] = [toHash(new Uint8Array(32).fill(1)), toHash(new Uint8Array(32).fill(2))];
  seed("snapshot-manifest", "three", manifestCodec, {
    format: 1,
    application: "key-value",
    sequence: 7 as Sequence,
    position: at(99),
    root: one,
    sessionChunks: [two],
    stateChunks: [one, two],
  });
}

function writeStore(): void {
  const writes: readonly KvWrite[] = [
    { kind: "put", key: "a", value: VALUE },
    { kind: "delete", key: "b" },
    { kind: "compare-and-set", key: "c", expected: { kind: "version", version: at(3) }, next: null },
    { kind: "compare-and-set", key: "d", expected: { kind: "absent" }, next: VALUE },
    { kind: "compare-and-set", key: "a", expected: { kind: "value", value: VALUE }, next: new Uint8Array(0) },
  ];
  const commands: readonly KvCommand[] = [...writes, { kind: "batch", writes }];
  for (const [place, command] of commands.entries())
    seed("kv-command", `${place}-${command.kind}`, kvCommandCodec, command);
  const bounds = { prefix: "a", from: "a", to: null };
  seed("kv-question", "get", kvQuestionCodec, { kind: "get", key: "a" });
  seed("kv-question", "range", kvQuestionCodec, { kind: "range", ...bounds, limit: 2, reverse: true });
  seed("kv-question", "count", kvQuestionCodec, { kind: "count", ...bounds });
  const entry = { key: "a", value: VALUE, version: at(2), created: at(1) };
  seed("kv-answer", "get", kvAnswerCodec, { kind: "get", entry });
  seed("kv-answer", "range", kvAnswerCodec, { kind: "range", entries: [entry, entry], next: "b" });
  seed("kv-answer", "count", kvAnswerCodec, { kind: "count", count: 5 });
}

function writeLedger(): void {
  const transfer = { kind: "transfer", from: "a/x", to: "b/x", amount: 5n } as const;
  const approve = { kind: "approve", account: "a/x", spender: "b/x", amount: 5n } as const;
  const draw = { kind: "transfer-from", spender: "a/x", from: "b/x", to: "a/x", amount: 4n } as const;
  const balances = { fromBalance: 1n, toBalance: 2n };
  const commands: readonly LedgerCommand[] = [
    { ...transfer, number: null },
    { ...transfer, number: 1 },
    { ...approve, expected: null },
    { ...approve, expected: 0n },
    draw,
  ];
  for (const [place, command] of commands.entries()) seed("ledger-command", `${place}`, ledgerCommandCodec, command);
  seed("ledger-receipt", "transfer", ledgerReceiptCodec, { ...transfer, number: 1, ...balances });
  seed("ledger-receipt", "approve", ledgerReceiptCodec, { ...approve, previous: 0n });
  seed("ledger-receipt", "draw", ledgerReceiptCodec, { ...draw, allowance: 0n, ...balances });
  seed("ledger-question", "account", ledgerQuestionCodec, { kind: "account", name: "a/x" });
  seed("ledger-question", "allowance", ledgerQuestionCodec, { kind: "allowance", account: "b/x", spender: "a/x" });
  seed("ledger-question", "accounts", ledgerQuestionCodec, { kind: "accounts", prefix: "a", from: null, limit: 1 });
  seed("ledger-question", "allowances", ledgerQuestionCodec, {
    kind: "allowances",
    account: "b/x",
    from: "a/x",
    limit: 2,
  });
  seed("ledger-question", "summary", ledgerQuestionCodec, { kind: "summary" });
  const line = { name: "a/x", balance: 9n, applied: 1 };
  const allowance = { account: "b/x", spender: "a/x", amount: 4n };
  seed("ledger-answer", "account", ledgerAnswerCodec, { kind: "account", account: line });
  seed("ledger-answer", "accounts", ledgerAnswerCodec, { kind: "accounts", accounts: [line], next: "b/x" });
  seed("ledger-answer", "allowances", ledgerAnswerCodec, { kind: "allowances", allowances: [allowance], next: null });
  const owners = new Owners([{ name: "a", nodeId: "c".repeat(64) as NodeId }]);
  const accounts = new Map([
    ["a/x", 9n],
    ["b/x", 5n],
  ]);
  const [chunk = VALUE] = new OrderedLedger({ accounts, owners }).snapshot();
  keep("ledger-chunk", "seed-two", chunk);
}

writeHost();
writeStore();
writeLedger();
