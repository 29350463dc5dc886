/**
 * A process for exactly-once.test.ts to kill: `<journal> <numbers> <url>...` sends the commands 1 to <numbers>, each of which
 * counts up one counter of its own, and says `acknowledged <number>` of each, then `done`. What it has to know after its
 * death it writes down before it sends anything, as docs/client.md says.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "../../src/client/main.ts";

const [journal = "", numbers = "", ...nodes] = process.argv.slice(2);
const last = Number(numbers);
/** Commands under way at a time. */
const WIDTH = 8;

// Who started it is gone with its end of the pipe: nobody is left behind.
process.stdin.on("end", () => process.exit(9)).resume();

const ID = /^client ([0-9a-f]{32})$/m;
const text = existsSync(journal) ? readFileSync(journal, "utf8") : "";
// A line without its end was not written in time: its command was never sent.
const lines = text.slice(0, text.lastIndexOf("\n") + 1);
writeFileSync(journal, lines);

const sent = [...lines.matchAll(/^sent (\d+)$/gm)].map(([, number]) => Number(number));
const known = new Set([...lines.matchAll(/^acknowledged (\d+)$/gm)].map(([, number]) => Number(number)));
const client = connect({
  nodes,
  timeoutMs: 60_000,
  session: {
    ...(ID.test(lines) ? { client: ID.exec(lines)?.[1] ?? "" } : {}),
    nextNumber: Math.max(0, ...sent) + 1,
    onNumber: ({ number }) => appendFileSync(journal, `sent ${number}\n`),
  },
});
if (!ID.test(lines)) appendFileSync(journal, `client ${client.session.client}\n`);

async function send(number: number, isAgain: boolean): Promise<void> {
  const command = JSON.stringify({ counter: `number-${number}`, add: 1 });
  const outcome = await client.command(command, isAgain ? { number } : {});
  if (outcome.status !== "applied" || outcome.number !== number) throw new Error(JSON.stringify(outcome));
  appendFileSync(journal, `acknowledged ${number}\n`);
  console.log(`acknowledged ${number}${outcome.isReplay ? " again" : ""}`);
}

console.log(`asks ${(await client.status()).node}`);
await Promise.all([...new Set(sent)].filter((number) => !known.has(number)).map((number) => send(number, true)));
while (client.session.nextNumber <= last) {
  const count = Math.min(WIDTH, last + 1 - client.session.nextNumber);
  // The numbers are given out in the order of the calls.
  await Promise.all(Array.from({ length: count }, () => send(client.session.nextNumber, false)));
}
console.log("done");
client.close();
