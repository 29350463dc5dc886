import { CretoError } from "./creto-error.ts";
import { Fields } from "./fields.ts";
import {
  type AccountBalance,
  type AccountsOptions,
  type Allowance,
  type ApprovalOrder,
  type ApprovalReceipt,
  accountOf,
  allowanceOf,
  approvalReceiptOf,
  balanceOf,
  type LedgerAccount,
  type LedgerReadOptions,
  type LedgerSummary,
  type LedgerWriteOptions,
  summaryOf,
  type TransferFromOrder,
  type TransferFromReceipt,
  type TransferOptions,
  type TransferOrder,
  type TransferReceipt,
  transferFromReceiptOf,
  transferReceiptOf,
} from "./ledger-answers.ts";
import type { PooledNode } from "./node-pool.ts";
import { type CallOptions, type Patience, pause } from "./patience.ts";
import type { CommandId, Session } from "./session.ts";
import type { Ask, Transport } from "./transport.ts";

type Run = <T>(options: CallOptions, work: (patience: Patience) => Promise<T>) => Promise<T>;

/** Who may debit an account. */
interface Owner {
  readonly node: PooledNode;
  /** The network has a total order, so that a command sent again under its number takes effect once. */
  readonly isOrdered: boolean;
}

/** Owners that a client remembers the nodes of. */
const OWNERS_MAX = 1_000;

/** Until a node that is silent is asked again whether it owns an account: 100 ms, doubled up to two seconds. */
const SILENT_MS = 100;
const SILENT_MS_MAX = 2_000;

/** Lines of one page of a list. */
const PAGE_ITEMS = 500;

/** Accounts of a network whose application is the ledger. */
export class Ledger {
  readonly #transport: Transport;
  readonly #session: Session;
  readonly #run: Run;
  /** By the owner's part of an account's name. */
  readonly #owners = new Map<string, Owner>();

  constructor(transport: Transport, session: Session, run: Run) {
    this.#transport = transport;
    this.#session = session;
    this.#run = run;
  }

  async summary(options: LedgerReadOptions = {}): Promise<LedgerSummary> {
    return summaryOf(await this.#read("/v1/ledger", {}, options));
  }

  /**
   * One that nobody paid yet is empty. In a leaderless network asked of the account's owner after a transfer from it, so that
   * it is seen; of any node otherwise, which may lag. @throws CretoError `malformed` where the name is none that an account can have
   */
  async account(name: string, options: LedgerReadOptions = {}): Promise<LedgerAccount> {
    return await this.#run(options, async (patience) => {
      const owner = this.#owners.get(ownerPart(name));
      if (owner?.isOrdered === false && options.consistency !== "linearizable") {
        const own = await this.#accountAt(owner.node, name, patience);
        if (!(own instanceof CretoError)) return own;
      }
      const ask = readAsk(accountPath(name), { consistency: options.consistency });
      return accountOf(new Fields((await this.#transport.ask(ask, patience)).body, "account"));
    });
  }

  async balance(name: string, options: LedgerReadOptions = {}): Promise<bigint> {
    return (await this.account(name, options)).balance;
  }

  /** In ascending order of their names, page by page: what changes meanwhile may be seen or not. Total order only. */
  async *accounts(options: AccountsOptions = {}): AsyncGenerator<AccountBalance, void, undefined> {
    yield* this.#pages("/v1/ledger/accounts", { prefix: options.prefix }, options, balanceOf);
  }

  /** What `spender` may move of `account`. @throws CretoError `needs-total-order` */
  async allowance(account: string, spender: string, options: LedgerReadOptions = {}): Promise<bigint> {
    const fields = await this.#read("/v1/ledger/allowances", { account, spender }, options);
    const [allowance] = fields.list("items", allowanceOf);
    if (allowance === undefined) throw new CretoError("bad-answer", "an allowance is answered with no amount");
    return allowance.amount;
  }

  /** Of one account, in ascending order of the spenders, as `accounts`. @throws CretoError `needs-total-order` */
  async *allowances(account: string, options: LedgerReadOptions = {}): AsyncGenerator<Allowance, void, undefined> {
    yield* this.#pages("/v1/ledger/allowances", { account }, options, allowanceOf);
  }

  /**
   * Moves units from an account that one of the client's nodes owns, by that node. With a total order it moves them once however
   * often it must be sent, and what cannot take effect is refused.
   * @throws CretoError `not-owner`, `insufficient-balance`, `number-used`: with `mayHaveHappened` the number is probably
   * this very transfer's, of which an answer was lost
   */
  async transfer(order: TransferOrder, options: TransferOptions = {}): Promise<TransferReceipt> {
    const body = { ...order, amount: String(order.amount) };
    return await this.#run(options, async (patience) => {
      const owner = await this.#ownerOf(order.from, patience);
      if (owner.isOrdered) return transferReceiptOf(await this.#command("transfers", body, owner, options, patience));
      const isFinal = options.wait !== "accepted";
      const ask = {
        method: "POST",
        path: "/v1/ledger/transfers",
        query: isFinal ? { wait: "finalized", timeoutMs: waitOf(patience) } : {},
        body,
        // A number belongs to one transfer: the second of the same number is refused.
        isRepeatable: order.number !== undefined,
        isPatient: true,
        pinned: owner.node,
      } as const;
      return transferReceiptOf(new Fields((await this.#transport.ask(ask, patience)).body, "transfer"));
    });
  }

  /**
   * Lets a spender move units of an account that one of the client's nodes owns. Takes effect once.
   * @throws CretoError `not-owner`, `allowance-changed`, `needs-total-order`
   */
  async approve(order: ApprovalOrder, options: LedgerWriteOptions = {}): Promise<ApprovalReceipt> {
    const { amount, expected, ...names } = order;
    const body = {
      ...names,
      amount: String(amount),
      ...(expected === undefined ? {} : { expected: String(expected) }),
    };
    return await this.#run(options, async (patience) => {
      const owner = await this.#ownerOf(order.account, patience);
      return approvalReceiptOf(await this.#command("approvals", body, owner, options, patience));
    });
  }

  /**
   * Moves another account's units, as far as a spender that one of the client's nodes owns is allowed to. Takes effect once.
   * @throws CretoError `not-owner`, `insufficient-allowance`, `insufficient-balance`, `needs-total-order`
   */
  async transferFrom(order: TransferFromOrder, options: LedgerWriteOptions = {}): Promise<TransferFromReceipt> {
    const body = { ...order, amount: String(order.amount) };
    return await this.#run(options, async (patience) => {
      const owner = await this.#ownerOf(order.spender, patience);
      return transferFromReceiptOf(await this.#command("transfers-from", body, owner, options, patience));
    });
  }

  /** Sent to the owner's node alone, under a number of the client's. */
  async #command(
    name: string,
    body: object,
    { node, isOrdered }: Owner,
    options: LedgerWriteOptions,
    patience: Patience,
  ): Promise<Fields> {
    const send = async ({ client, number }: CommandId): Promise<Fields> => {
      const ask: Ask = {
        method: "POST",
        path: `/v1/ledger/${name}`,
        headers: { "x-cretoai-client": client, "x-cretoai-number": String(number) },
        body,
        isRepeatable: isOrdered,
        nodeWaits: true,
        pinned: node,
      };
      return new Fields((await this.#transport.ask(ask, patience)).body, name);
    };
    return await this.#session.run(patience, send, options.commandNumber);
  }

  async #read(path: string, query: Ask["query"], options: LedgerReadOptions): Promise<Fields> {
    return await this.#run(options, async (patience) => {
      const ask = readAsk(path, { ...query, consistency: options.consistency });
      return new Fields((await this.#transport.ask(ask, patience)).body, "ledger");
    });
  }

  async *#pages<T>(
    path: string,
    query: Ask["query"],
    options: LedgerReadOptions,
    decode: (fields: Fields) => T,
  ): AsyncGenerator<T, void, undefined> {
    for (let from: string | undefined; ; ) {
      const page: Fields = await this.#read(path, { ...query, from, limit: PAGE_ITEMS }, options);
      yield* page.list("items", decode);
      const next: string | null = page.maybe("next", page.text);
      if (next === null) return;
      from = next;
    }
  }

  /** The node that may debit an account: only that one speaks for it. One that is silent may be it, so it is waited for. */
  async #ownerOf(name: string, patience: Patience): Promise<Owner> {
    const part = ownerPart(name);
    for (let waitMs = SILENT_MS; ; waitMs = Math.min(2 * waitMs, SILENT_MS_MAX)) {
      const found = this.#owners.get(part) ?? (await this.#findOwner(name, patience));
      if (!(found instanceof CretoError)) return this.#remember(part, found);
      if (patience.ended !== null) throw patience.ended;
      if (!found.isRetryable || patience.remainingMs <= waitMs) throw found;
      await pause(waitMs, patience.signal);
    }
  }

  /** One round of questions: the owner, or why it was not found. */
  async #findOwner(name: string, patience: Patience): Promise<Owner | CretoError> {
    let silent: CretoError | null = null;
    for (const node of this.#transport.pool.nodes) {
      const account = await this.#accountAt(node, name, patience);
      if (account instanceof CretoError) silent = account;
      else if (account.isOwn) return { node, isOrdered: account.asOf !== null };
    }
    if (silent !== null) return silent;
    const what = `none of the nodes that this client knows owns ${name}`;
    return new CretoError("not-owner", `${what}: add its owner's node to the list`);
  }

  /** What this one node says, or why it says nothing now. */
  async #accountAt(node: PooledNode, name: string, patience: Patience): Promise<LedgerAccount | CretoError> {
    try {
      const ask = readAsk(accountPath(name), { consistency: "local" });
      return accountOf(new Fields((await this.#transport.askOnce(ask, node, patience)).body, "account"));
    } catch (error) {
      if (error instanceof CretoError && error.isRetryable) return error;
      throw error;
    }
  }

  #remember(part: string, owner: Owner): Owner {
    if (this.#owners.size >= OWNERS_MAX) this.#owners.clear();
    this.#owners.set(part, owner);
    return owner;
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

function accountPath(name: string): string {
  return `/v1/ledger/accounts/${name.split("/").map(encodeURIComponent).join("/")}`;
}

function readAsk(path: string, query: NonNullable<Ask["query"]>): Ask {
  return { method: "GET", path, query, isRepeatable: true, nodeWaits: true };
}
