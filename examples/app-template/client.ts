// Bids for an item: bun client.ts http://127.0.0.1:8101 http://127.0.0.1:8111 -- lamp ada 5
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { type CommandId, connect } from "cretoai/client";
import { encode, readAuction } from "./messages.ts";

const JOURNAL = "client.journal";

interface Entry extends CommandId {
  readonly bid: { readonly item: string; readonly bidder: string; readonly amount: number };
  readonly isDone: boolean;
}

const end = process.argv.indexOf("--");
const [item = "", bidder = "", amount = ""] = process.argv.slice(end + 1);

// What was written down before it was sent can be sent again by the next process, and is applied once.
const lines = existsSync(JOURNAL) ? readFileSync(JOURNAL, "utf8").split("\n").slice(0, -1) : [];
const last = lines.map((line) => JSON.parse(line) as Entry).at(-1);
const note = (entry: Entry): void => appendFileSync(JOURNAL, `${JSON.stringify(entry)}\n`);

const isOpen = last !== undefined && !last.isDone;
const bid = isOpen ? last.bid : { item, bidder, amount: Number(amount) };
const number = last === undefined ? 1 : isOpen ? last.number : last.number + 1;
const client = connect({
  nodes: process.argv.slice(2, end),
  session: {
    ...(last === undefined ? {} : { client: last.client }),
    nextNumber: number,
    onNumber: (id) => note({ ...id, bid, isDone: false }),
  },
});
if (isOpen) console.log(`a bid of ${bid.amount} for ${bid.item} was not known to have arrived: it is sent again`);

const outcome = await client.command(encode({ kind: "bid", ...bid }));
note({ client: client.session.client, number, bid, isDone: true });
if (outcome.status === "rejected") console.log(`refused: ${outcome.reason}`);
else console.log(`the bid stands, at position ${outcome.position}`);

const { answer } = await client.query(bid.item).catch(() => ({ answer: null }));
if (answer !== null) console.log(`best: ${JSON.stringify(readAuction(answer).best)}`);
client.close();
