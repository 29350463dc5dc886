import { decode, encode } from "../../codec/codec.ts";
import { u64 } from "../../codec/primitives.ts";
import { digestOf } from "../../crypto/hash.ts";
import type { NodeId } from "../../crypto/identity.ts";
import { decodeKvCommand, encodeKvCommand, type KvWrite } from "../../replication/key-value/kv-command.ts";
import { decodeLedgerCommand } from "../../replication/ledger/ledger-command.ts";
import { encodeLedgerAnswer, ledgerAnswerCodec } from "../../replication/ledger/ledger-query.ts";
import { type Application, type CommandContext, CommandRejected } from "../../replication/replicated.ts";

/** Faults of the application, planted around production's. */

class Around implements Application {
  readonly name: string;
  readonly inner: Application;

  constructor(inner: Application) {
    this.name = inner.name;
    this.inner = inner;
  }

  apply(command: Uint8Array, context: CommandContext): Uint8Array {
    return this.inner.apply(command, context);
  }

  query(question: Uint8Array): Uint8Array {
    return this.inner.query(question);
  }

  snapshot(): Iterable<Uint8Array> {
    return this.inner.snapshot();
  }

  restore(chunks: Iterable<Uint8Array>): void {
    this.inner.restore(chunks);
  }

  stateHash(): Uint8Array {
    return this.inner.stateHash();
  }
}

/** The state has something of the node that it is at: how much came in that node's own lane. */
export class Selfish extends Around {
  readonly #self: NodeId;
  #own = 0;

  constructor(inner: Application, self: NodeId) {
    super(inner);
    this.#self = self;
  }

  override apply(command: Uint8Array, context: CommandContext): Uint8Array {
    if (context.creator === this.#self) this.#own += 1;
    return super.apply(command, context);
  }

  override stateHash(): Uint8Array {
    return digestOf("kv-state", super.stateHash(), encode(u64, this.#own, 8));
  }
}

/** A compare-and-set compares nothing. */
export class Careless extends Around {
  override apply(body: Uint8Array, context: CommandContext): Uint8Array {
    const command = decodeKvCommand(body);
    if (command?.kind !== "compare-and-set") return super.apply(body, context);
    const { key, next } = command;
    const write: KvWrite = next === null ? { kind: "delete", key } : { kind: "put", key, value: next };
    return super.apply(encodeKvCommand(write), context);
  }
}

/** The payee is credited before it is clear that the payer has so much. */
export class Generous extends Around {
  readonly #credits = new Map<string, bigint>();

  override apply(body: Uint8Array, context: CommandContext): Uint8Array {
    try {
      return super.apply(body, context);
    } catch (error) {
      const command = decodeLedgerCommand(body);
      const isShort = error instanceof CommandRejected && error.message === "insufficient-balance";
      if (isShort && command?.kind === "transfer")
        this.#credits.set(command.to, (this.#credits.get(command.to) ?? 0n) + command.amount);
      throw error;
    }
  }

  override query(question: Uint8Array): Uint8Array {
    const answer = decode(ledgerAnswerCodec, super.query(question));
    if (answer.kind !== "accounts") return encodeLedgerAnswer(answer);
    const accounts = answer.accounts.map((line) => {
      return { ...line, balance: line.balance + (this.#credits.get(line.name) ?? 0n) };
    });
    return encodeLedgerAnswer({ ...answer, accounts });
  }
}
