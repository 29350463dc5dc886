import type { Transfer, TransferPlace } from "../replication/ledger/transfer.ts";
import type { TransferOutcome } from "./service.ts";

interface UnderWay {
  readonly transfer: Transfer;
  readonly resolve: (outcome: TransferOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * This node's own transfers that are not final yet: their numbers are taken and their amounts spoken for. The bound is
 * that of the ledger on transfers of one account. After a restart it is empty, though the lane may hold some still: a
 * transfer that gets the number of such a one loses against it, and its submitter is told.
 */
export class TransfersUnderWay {
  readonly #accounts = new Map<string, Map<number, UnderWay>>();

  has({ from, number }: TransferPlace): boolean {
    return this.#accounts.get(from)?.has(number) ?? false;
  }

  of(from: string): { readonly count: number; readonly amount: bigint } {
    const entries = [...(this.#accounts.get(from)?.values() ?? [])];
    return { count: entries.length, amount: entries.reduce((sum, { transfer }) => sum + transfer.amount, 0n) };
  }

  /** The number must not be under way already. The promise may be left alone. */
  begin(transfer: Transfer): Promise<TransferOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<TransferOutcome>();
    promise.catch(() => undefined);
    const numbers = this.#accounts.get(transfer.from) ?? new Map<number, UnderWay>();
    numbers.set(transfer.number, { transfer, resolve, reject });
    this.#accounts.set(transfer.from, numbers);
    return promise;
  }

  /** A transfer of this number is final: this one, or one of before the start that had the number first. */
  settle(final: Transfer, outcome: TransferOutcome): void {
    const entry = this.#take(final);
    if (entry === null) return;
    const { to, amount, from, number } = entry.transfer;
    const isSame = to === final.to && amount === final.amount;
    entry.resolve(isSame ? outcome : { kind: "rejected", reason: `${from} has another transfer of number ${number}` });
  }

  /** It never becomes final. Said of this very one: its number may be another's by now. */
  fail(transfer: Transfer, error: unknown): void {
    if (this.#accounts.get(transfer.from)?.get(transfer.number)?.transfer !== transfer) return;
    this.#take(transfer)?.reject(error);
  }

  /** Nobody will hear what becomes of them: the node stops. */
  end(): void {
    this.#accounts.clear();
  }

  #take({ from, number }: TransferPlace): UnderWay | null {
    const numbers = this.#accounts.get(from);
    const entry = numbers?.get(number) ?? null;
    numbers?.delete(number);
    if (numbers?.size === 0) this.#accounts.delete(from);
    return entry;
  }
}
