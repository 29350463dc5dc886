// What clients and nodes say to each other: the one file that both sides import.
import { CommandRejected } from "cretoai/application";

/** Offers an amount for an item, or ends its auction. */
export type Command =
  | { readonly kind: "bid"; readonly item: string; readonly bidder: string; readonly amount: number }
  | { readonly kind: "close"; readonly item: string };

export interface Auction {
  readonly item: string;
  /** Null before the first bid. */
  readonly best: { readonly bidder: string; readonly amount: number } | null;
  readonly isOpen: boolean;
}

const NAME = /^[a-z0-9-]{1,40}$/;

export function encode(value: Command | Auction): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/**
 * Commands come from anybody and are any bytes: every node must read them alike, or refuse them alike.
 * @throws CommandRejected
 */
export function readCommand(bytes: Uint8Array): Command {
  const value = parsed(bytes);
  const { kind, item, bidder, amount } = value;
  if (!isName(item)) throw new CommandRejected("item is 1 to 40 small letters, digits and hyphens");
  if (kind === "close") return { kind, item };
  if (kind !== "bid") throw new CommandRejected('kind is "bid" or "close"');
  if (!isName(bidder)) throw new CommandRejected("bidder is 1 to 40 small letters, digits and hyphens");
  if (typeof amount !== "number" || !Number.isSafeInteger(amount) || amount < 1)
    throw new CommandRejected("amount is a whole number from 1");
  return { kind, item, bidder, amount };
}

export function readAuction(bytes: Uint8Array): Auction {
  return JSON.parse(new TextDecoder().decode(bytes)) as Auction;
}

function parsed(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // No UTF-8, or no JSON.
  }
  throw new CommandRejected("a command is a JSON object");
}

function isName(value: unknown): value is string {
  return typeof value === "string" && NAME.test(value);
}
