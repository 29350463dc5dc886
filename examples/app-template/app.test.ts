import { expect, test } from "bun:test";
import { checkApplication } from "cretoai/testing";
import { createApplication } from "./app.ts";
import { type Command, encode } from "./messages.ts";

const bid = (item: string, bidder: string, amount: number): Command => ({ kind: "bid", item, bidder, amount });

/** All kinds of commands, and some that are refused: a check finds only what they reach. */
const COMMANDS: readonly Command[] = [
  bid("lamp", "ada", 5),
  bid("chair", "bob", 7),
  bid("lamp", "bob", 5),
  bid("lamp", "bob", 8),
  { kind: "close", item: "lamp" },
  bid("lamp", "ada", 9),
  { kind: "close", item: "table" },
];

test("every node comes to the same state, and a restored one goes on like the others", () => {
  const { applied, rejected } = checkApplication(createApplication, COMMANDS.map(encode), { questions: ["lamp", "?"] });
  expect(applied).toBeGreaterThan(0);
  expect(rejected).toBeGreaterThan(0);
});
