// Auctions that all nodes agree on. A node runs this file: `cretoai-node start --app ./app.ts`.
import { createHash } from "node:crypto";
import { type Application, type CommandContext, CommandRejected, QueryRefused } from "cretoai/application";
import { type Auction, encode, readAuction, readCommand } from "./messages.ts";

class Auctions implements Application {
  readonly name = "auctions";
  #auctions = new Map<string, Auction>();

  /** Checks everything before it changes anything: a refusal leaves no trace. There is no clock but `context`. */
  apply(bytes: Uint8Array, _context: CommandContext): Uint8Array {
    const command = readCommand(bytes);
    const { item } = command;
    const { best, isOpen } = this.#auctions.get(item) ?? { best: null, isOpen: true };
    if (!isOpen) throw new CommandRejected(`the auction of ${item} is over`);
    if (command.kind === "close") return this.#put({ item, best, isOpen: false });
    const { bidder, amount } = command;
    if (best !== null && amount <= best.amount) throw new CommandRejected(`${best.bidder} offers ${best.amount}`);
    return this.#put({ item, best: { bidder, amount }, isOpen });
  }

  /** The question is an item's name, the answer its auction. */
  query(question: Uint8Array): Uint8Array {
    const auction = this.#auctions.get(new TextDecoder().decode(question));
    if (auction === undefined) throw new QueryRefused("failed", "there is no such auction");
    return encode(auction);
  }

  /** As of this call, so no generator; sorted, because equal states must have equal bytes. */
  snapshot(): Iterable<Uint8Array> {
    return this.#sorted().map(encode);
  }

  restore(chunks: Iterable<Uint8Array>): void {
    const auctions = [...chunks].map(readAuction);
    this.#auctions = new Map(auctions.map((auction) => [auction.item, auction]));
  }

  /** Of all of the state. Where that grows large, keep a hash that each command brings up to date. */
  stateHash(): Uint8Array {
    return createHash("sha256").update(JSON.stringify(this.#sorted())).digest();
  }

  #put(auction: Auction): Uint8Array {
    this.#auctions.set(auction.item, auction);
    return encode(auction);
  }

  #sorted(): readonly Auction[] {
    return [...this.#auctions.values()].sort((left, right) => (left.item < right.item ? -1 : 1));
  }
}

/** What a node looks for: the application as it is before anything happened to it. */
export function createApplication(): Application {
  return new Auctions();
}
