import { createInterface } from "node:readline";
import { timed } from "./campaign.ts";
import { parsePlan } from "./plan-file.ts";

// One plan a line comes in, as a JSON string; one result a line goes out.
for await (const line of createInterface({ input: process.stdin })) {
  const { plan } = parsePlan(JSON.parse(line), "the plan handed over");
  process.stdout.write(`${JSON.stringify(await timed(plan))}\n`);
}
