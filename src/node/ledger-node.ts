import type { NodeId } from "../crypto/identity.ts";
import type { Applied } from "../replication/application.ts";
import { type Ledger, WAITING_MAX } from "../replication/ledger/ledger.ts";
import { ACCOUNT_NAME_RULE, isAccountName, type Owners, ownerOf } from "../replication/ledger/owners.ts";
import {
  decodeTransfer,
  encodeTransfer,
  type Transfer,
  type TransferPlace,
  transferFault,
  transferKey,
} from "../replication/ledger/transfer.ts";
import { clientPayloadOf, createLedger, ownersOf, vertexPayloadOf } from "./applications.ts";
import type { Genesis } from "./genesis.ts";
import type { Log } from "./observer.ts";
import {
  type FinalizedItem,
  type LedgerAccount,
  type LedgerService,
  type LedgerSummary,
  NodeError,
  type NodeService,
  type TransferSubmission,
  type WantedTransfer,
} from "./service.ts";
import { TransfersUnderWay } from "./transfers-under-way.ts";

/** Final vertices read at a time while the state is rebuilt. */
const PAGE_ITEMS = 1_000;

const RETRY_MS = 1_000;

export interface LedgerNodeParts {
  readonly ledger: Ledger;
  readonly owners: Owners;
  readonly self: NodeId;
  readonly node: Pick<NodeService, "submit" | "finalized">;
  readonly log: Log;
}

/** What this ledger runs on; with a total order it is a replicated application. */
const ENGINE = "avalanche";

/**
 * The ledger at a running node of a leaderless network: its state follows the final vertices. It is kept in memory only: at the start it is
 * rebuilt from the node's own pages of them, from sequence 1 on, until there are snapshots of it.
 */
export class LedgerNode implements LedgerService {
  readonly order = "partial";
  readonly #parts: LedgerNodeParts;
  readonly #underWay = new TransfersUnderWay();
  /** The sequence that the state has not seen. */
  #next = 1;
  /** The last sequence that was announced. */
  #announced = 0;
  #isCurrent = false;
  #reading: Promise<void> | null = null;
  #rereading: Promise<void> | null = null;
  #isStopped = false;

  constructor(parts: LedgerNodeParts) {
    this.#parts = parts;
  }

  /** Resolves when the state is that of all that was final; subscribe `onFinalized` before. */
  async start(): Promise<void> {
    await this.#catchUp();
  }

  /** Resolves when nothing is read any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#underWay.end();
    await Promise.all([this.#reading, this.#rereading]);
  }

  /** What became final, as the node announces it. */
  onFinalized(items: readonly FinalizedItem[]): void {
    const last = items.at(-1);
    if (last === undefined || this.#isStopped) return;
    this.#announced = Math.max(this.#announced, last.sequence);
    const isGap = (items[0]?.sequence ?? 0) > this.#next;
    if (this.#reading === null && !isGap && this.#isCurrent) this.#takeAll(items);
    else void this.#catchUp();
  }

  account(name: string): LedgerAccount | null {
    const { ledger, owners, self } = this.#parts;
    if (!isAccountName(name) || !owners.isKnown(ownerOf(name))) return null;
    const { balance, waiting } = ledger.account(name) ?? { balance: 0n, waiting: [] };
    return {
      name,
      balance,
      nextNumber: this.#freeNumber(name),
      isOwn: owners.mayDebit(self, name),
      waiting: waiting.map(({ to, amount, number }) => ({ to, amount, number })),
    };
  }

  summary(): LedgerSummary {
    const { ledger } = this.#parts;
    return {
      total: ledger.total,
      accounts: ledger.count(),
      digest: ledger.stateDigest(),
      sequence: this.#next - 1,
      isCurrent: this.#isCurrent,
    };
  }

  transfer({ from, to, amount, number: wanted }: WantedTransfer): TransferSubmission {
    const { node } = this.#parts;
    this.#refuseWhileBehind();
    const transfer: Transfer = { from, to, amount, number: wanted ?? this.#freeNumber(from) };
    this.#refuse(transfer);
    const payload = vertexPayloadOf(ENGINE, {
      payload: encodeTransfer(transfer),
      conflictKeys: [transferKey(transfer)],
    });
    const outcome = this.#underWay.begin(transfer);
    const submission = node.submit([payload]);
    // What was never accepted, or lost against another vertex, spends nothing.
    const failed = (error: unknown): void => this.#underWay.fail(transfer, error);
    submission.accepted.catch(failed);
    submission.finalized.catch(failed);
    return { ...submission, number: transfer.number, outcome };
  }

  #refuseWhileBehind(): void {
    if (this.#isCurrent) return;
    const what = `the ledger is being rebuilt from the final vertices, at ${this.#next - 1} now`;
    throw new NodeError("not-ready", `${what}: try again shortly`, { retryAfterMs: RETRY_MS });
  }

  /** What would only wait for ever, or lose, is not submitted: it cannot be taken back and blocks the account. */
  #refuse(transfer: Transfer): void {
    const { ledger, owners, self } = this.#parts;
    const { from, amount, number } = transfer;
    if (!isAccountName(from)) throw new NodeError("malformed-transfer", `from must be ${ACCOUNT_NAME_RULE}`);
    if (!owners.mayDebit(self, from)) {
      const own = `this node owns ${owners.nameOf(self)}/...`;
      throw new NodeError("not-owner", `${from} belongs to another node, ask that one: ${own}`);
    }
    const fault = transferFault(transfer, self, owners);
    if (fault !== null) throw new NodeError("malformed-transfer", fault);
    const { balance, applied, waiting } = ledger.account(from) ?? { balance: 0n, applied: 0, waiting: [] };
    if (this.#isTaken(transfer) || number <= applied)
      throw new NodeError("number-used", `${from} has a transfer ${number}: the next is ${this.#freeNumber(from)}`);
    const underWay = this.#underWay.of(from);
    if (waiting.length + underWay.count >= WAITING_MAX || number > applied + WAITING_MAX) {
      const what = `at most ${WAITING_MAX} transfers of ${from} may be under way, and none further ahead`;
      throw new NodeError("overloaded", `${what}: try again shortly`, { retryAfterMs: RETRY_MS });
    }
    const reserved = waiting.reduce((sum, { amount: each }) => sum + each, underWay.amount);
    if (balance - reserved < amount) {
      const rest = reserved === 0n ? "" : `, and ${reserved} of it is on its way already`;
      throw new NodeError("insufficient-balance", `${from} has ${balance}${rest}: too little for ${amount}`);
    }
  }

  #freeNumber(from: string): number {
    const first = (this.#parts.ledger.account(from)?.applied ?? 0) + 1;
    let number = first;
    while (this.#isTaken({ from, number })) number++;
    return number;
  }

  #isTaken({ from, number }: TransferPlace): boolean {
    if (this.#underWay.has({ from, number })) return true;
    return this.#parts.ledger.isWaiting({ from, number });
  }

  #catchUp(): Promise<void> {
    this.#reading ??= this.#readOn().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readOn(): Promise<void> {
    try {
      while (!this.#isStopped) {
        const items = await this.#parts.node.finalized({ from: this.#next, limit: PAGE_ITEMS });
        this.#takeAll(items);
        // What was announced while the page was read is on the disk by now.
        if (items.length === 0 && this.#announced < this.#next) break;
      }
      this.#isCurrent = true;
    } catch (error) {
      this.#isCurrent = false;
      this.#parts.log("error", "ledger.behind", { error: String(error), sequence: this.#next - 1 });
    }
  }

  #takeAll(items: readonly FinalizedItem[]): void {
    for (const item of items) {
      if (item.sequence !== this.#next) continue;
      this.#next++;
      this.#take(item);
    }
    if (this.#parts.ledger.wantsReplay()) this.#rereading ??= this.#reread();
  }

  /** A transfer that found no room while it waited is due: it is among the final vertices, somewhere. */
  async #reread(): Promise<void> {
    const { ledger, node, log } = this.#parts;
    try {
      while (ledger.wantsReplay() && !this.#isStopped) {
        ledger.onReplay();
        const end = this.#next;
        for (let from = 1; from < end && !this.#isStopped; ) {
          const items = await node.finalized({ from, limit: PAGE_ITEMS });
          if (items.length === 0) break;
          for (const item of items) this.#apply(item);
          from += items.length;
        }
      }
    } catch (error) {
      log("error", "ledger.behind", { error: String(error), sequence: this.#next - 1 });
      this.#isCurrent = false;
    } finally {
      this.#rereading = null;
    }
  }

  #take(item: FinalizedItem): void {
    const applied = this.#apply(item);
    const payload = item.creator === this.#parts.self ? clientPayloadOf(ENGINE, item.payload) : null;
    const transfer = payload === null ? null : decodeTransfer(payload);
    if (transfer !== null && applied !== null) this.#underWay.settle(transfer, applied);
  }

  #apply({ purpose, payload, creator }: FinalizedItem): Applied | null {
    if (purpose === "membership") return null;
    const command = clientPayloadOf(ENGINE, payload);
    return command === null ? null : this.#parts.ledger.apply(command, creator);
  }
}

/** The ledger of this leaderless network at this node; null where the network runs none, or another one. */
export function createLedgerNode(
  genesis: Genesis,
  parts: Pick<LedgerNodeParts, "self" | "node" | "log">,
): LedgerNode | null {
  const ledger = createLedger(genesis);
  if (ledger === null) return null;
  return new LedgerNode({ ...parts, ledger, owners: ownersOf(genesis) });
}
