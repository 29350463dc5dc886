import { CretoError } from "./creto-error.ts";
import { Fields } from "./fields.ts";
import type { PooledNode } from "./node-pool.ts";
import type { CallOptions, Patience } from "./patience.ts";
import type { Ask, Transport } from "./transport.ts";

export interface LedgerAccount {
  /** `<owner>/<account>`; the owner is a validator's name, or 32 digits of a node id. */
  readonly name: string;
  /** Units, up to 2^64 - 1. */
  readonly balance: bigint;
  /** The lowest number that no transfer known to the node has. */
  readonly nextNumber: number;
  /** Whether the node that answered may debit it. */
  readonly isOwn: boolean;
  /** Final transfers that wait for a number before theirs, or for money. */
  readonly waiting: readonly { readonly to: string; readonly amount: bigint; readonly number: number }[];
}

export interface LedgerSummary {
  readonly total: bigint;
  readonly accounts: number;
  /** Equal at nodes that hold the same transfers to be final. */
  readonly digest: string;
  readonly sequence: number;
  /** False while the node rebuilds its ledger after a start. */
  readonly isCurrent: boolean;
}

export interface TransferOrder {
  readonly from: string;
  readonly to: string;
  /** 1 to 2^64 - 1. */
  readonly amount: bigint;
  /** The transfer's number at its account. With one, a transfer whose answer was lost is sent again, and moves units once. */
  readonly number?: number;
}

export interface TransferOptions extends CallOptions {
  /** `finalized` unless given. */
  readonly wait?: "accepted" | "finalized";
}

export interface TransferReceipt {
  readonly from: string;
  readonly to: string;
  readonly amount: bigint;
  readonly number: number;
  readonly hash: string;
  readonly sequence: number | null;
  /** `waiting`: final, but another number or money has to come first. Null where finality was not waited for. */
  readonly result: "applied" | "waiting" | "rejected" | null;
  readonly reason: string | null;
}

type Run = <T>(options: CallOptions, work: (patience: Patience) => Promise<T>) => Promise<T>;

/** Owners that a client remembers the nodes of. */
const OWNERS_MAX = 1_000;

/** Accounts of a network whose application is the ledger. */
export class Ledger {
  readonly #transport: Transport;
  readonly #run: Run;
  /** By the owner's part of an account's name. */
  readonly #owners = new Map<string, PooledNode>();

  constructor(transport: Transport, run: Run) {
    this.#transport = transport;
    this.#run = run;
  }

  async summary(options: CallOptions = {}): Promise<LedgerSummary> {
    return await this.#run(options, async (patience) => {
      const { body } = await this.#transport.ask({ method: "GET", path: "/v1/ledger", isRepeatable: true }, patience);
      const fields = new Fields(body, "ledger");
      return {
        total: fields.amount("total"),
        accounts: fields.count("accounts"),
        digest: fields.text("digest"),
        sequence: fields.count("sequence"),
        isCurrent: fields.flag("isCurrent"),
      };
    });
  }

  /**
   * One that nobody paid yet is empty. Asked of the account's owner after a transfer from it, so that it is seen; of any
   * node otherwise, which may lag. @throws CretoError `malformed` where the name is none that an account can have
   */
  async account(name: string, options: CallOptions = {}): Promise<LedgerAccount> {
    return await this.#run(options, async (patience) => {
      const owner = this.#owners.get(ownerPart(name));
      const own = owner === undefined ? null : await this.#accountAt(owner, name, patience);
      if (own !== null && !(own instanceof CretoError)) return own;
      const { body } = await this.#transport.ask(accountAsk(name), patience);
      return accountOf(new Fields(body, "account"));
    });
  }

  async balance(name: string, options: CallOptions = {}): Promise<bigint> {
    return (await this.account(name, options)).balance;
  }

  /**
   * Moves units from an account that one of the client's nodes owns, by that node.
   * @throws CretoError `not-owner`, `insufficient-balance`, `number-used`: with `mayHaveHappened` the number is probably
   * this very transfer's, of which an answer was lost
   */
  async transfer(order: TransferOrder, options: TransferOptions = {}): Promise<TransferReceipt> {
    return await this.#run(options, async (patience) => {
      const pinned = await this.#ownerOf(order.from, patience);
      const isFinal = options.wait !== "accepted";
      const ask = {
        method: "POST",
        path: "/v1/ledger/transfers",
        query: isFinal ? { wait: "finalized", timeoutMs: waitOf(patience) } : {},
        body: { ...order, amount: String(order.amount) },
        // A number belongs to one transfer: the second of the same number is refused.
        isRepeatable: order.number !== undefined,
        isPatient: true,
        pinned,
      } as const;
      return receiptOf(new Fields((await this.#transport.ask(ask, patience)).body, "transfer"));
    });
  }

  /** The node that may debit an account: only that one takes its transfers. */
  async #ownerOf(name: string, patience: Patience): Promise<PooledNode> {
    const owner = ownerPart(name);
    const known = this.#owners.get(owner);
    if (known !== undefined) return known;
    let silent: CretoError | null = null;
    for (const node of this.#transport.pool.nodes) {
      const account = await this.#accountAt(node, name, patience);
      if (patience.ended !== null) throw patience.ended;
      if (account instanceof CretoError) silent = account;
      else if (account.isOwn) return this.#remember(owner, node);
    }
    if (silent !== null) throw silent;
    const what = `none of the nodes that this client knows owns ${name}`;
    throw new CretoError("not-owner", `${what}: add its owner's node to the list`);
  }

  /** What this one node says, or why it says nothing now. */
  async #accountAt(node: PooledNode, name: string, patience: Patience): Promise<LedgerAccount | CretoError> {
    try {
      const { body } = await this.#transport.askOnce(accountAsk(name), node, patience);
      return accountOf(new Fields(body, "account"));
    } catch (error) {
      if (error instanceof CretoError && error.isRetryable) return error;
      throw error;
    }
  }

  #remember(owner: string, node: PooledNode): PooledNode {
    if (this.#owners.size >= OWNERS_MAX) this.#owners.clear();
    this.#owners.set(owner, node);
    return node;
  }
}

/** The node's own limit, in milliseconds. */
const NODE_WAIT_MS_MAX = 120_000;

function waitOf({ remainingMs }: Patience): number {
  return Math.max(1, Math.min(NODE_WAIT_MS_MAX, Math.floor(remainingMs)));
}

/** @throws CretoError `invalid-argument` */
function ownerPart(account: string): string {
  const [owner, name, ...more] = account.split("/");
  if (owner !== undefined && owner !== "" && name !== undefined && name !== "" && more.length === 0) return owner;
  throw new CretoError("invalid-argument", `an account is <owner>/<account>, not ${JSON.stringify(account)}`);
}

function accountAsk(name: string): Ask {
  const path = `/v1/ledger/accounts/${name.split("/").map(encodeURIComponent).join("/")}`;
  return { method: "GET", path, isRepeatable: true };
}

function accountOf(fields: Fields): LedgerAccount {
  return {
    name: fields.text("name"),
    balance: fields.amount("balance"),
    nextNumber: fields.count("nextNumber"),
    isOwn: fields.flag("isOwn"),
    waiting: fields.list("waiting", (item) => ({
      to: item.text("to"),
      amount: item.amount("amount"),
      number: item.count("number"),
    })),
  };
}

function receiptOf(fields: Fields): TransferReceipt {
  return {
    from: fields.text("from"),
    to: fields.text("to"),
    amount: fields.amount("amount"),
    number: fields.count("number"),
    hash: fields.text("hash"),
    sequence: fields.maybe("sequence", fields.count),
    result: fields.has("result") ? fields.word("result", ["applied", "waiting", "rejected"]) : null,
    reason: fields.maybe("reason", fields.text),
  };
}
