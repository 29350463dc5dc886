import { describe, expect, test } from "bun:test";
import type { NodeId } from "../crypto/identity.ts";
import type { LedgerCommand } from "../replication/ledger/ledger-command.ts";
import { Owners } from "../replication/ledger/owners.ts";
import { LedgerDesk } from "./ledger-desk.ts";
import { NodeError } from "./service.ts";

const SELF = "a".repeat(64) as NodeId;
const OTHER = "b".repeat(64) as NodeId;
const DESK = new LedgerDesk(
  new Owners([
    { name: "self", nodeId: SELF },
    { name: "other", nodeId: OTHER },
  ]),
  SELF,
);

const transfer = (from: string, to: string, amount = 1n): LedgerCommand => ({
  kind: "transfer",
  from,
  to,
  amount,
  number: null,
});
const approve = (account: string, spender: string): LedgerCommand => ({
  kind: "approve",
  account,
  spender,
  amount: 1n,
  expected: null,
});
const draw = (spender: string, from: string, to: string): LedgerCommand => ({
  kind: "transfer-from",
  spender,
  from,
  to,
  amount: 1n,
});

function refusal(command: LedgerCommand): readonly [string, string] {
  try {
    DESK.check(command);
  } catch (error) {
    if (error instanceof NodeError) return [error.code, error.message];
    throw error;
  }
  return ["", ""];
}

describe("a node of a network with an ordered ledger", () => {
  test("knows which accounts there can be, and for which it speaks", () => {
    const names = [
      "self/main",
      `${SELF.slice(0, 32)}/x`,
      "other/main",
      `${"c".repeat(32)}/x`,
      "nobody/main",
      "main",
      "",
    ];
    expect(names.map((name) => DESK.isOwn(name))).toEqual([true, true, false, false, false, false, false]);
    expect(names.map((name) => DESK.isAccount(name))).toEqual([true, true, true, true, false, false, false]);
  });

  test.each([
    [transfer("self/main", "other/main")],
    [approve("self/main", "other/main")],
    [draw("self/main", "other/main", "self/main")],
    [draw("self/main", "other/main", "other/b")],
  ])("takes %p", (command) => {
    expect(refusal(command)).toEqual(["", ""]);
  });

  test.each([
    ["not-owner", "other/main belongs to another node", transfer("other/main", "self/main")],
    ["not-owner", "this node owns self/...", approve("other/main", "self/main")],
    ["not-owner", "other/main belongs", draw("other/main", "self/main", "other/main")],
    ["malformed-transfer", "itself", transfer("self/main", "self/main")],
    ["malformed-transfer", "of nothing", transfer("self/main", "other/main", 0n)],
    ["malformed-transfer", "nobody can ever own", transfer("self/main", "nobody/main")],
    ["malformed-transfer", "nobody can ever own", approve("self/main", "nobody/main")],
    ["malformed-transfer", "of its own", approve("self/main", "self/main")],
    ["malformed-transfer", "1 to 32 and 1 to 31", draw("self/main", "main", "self/main")],
  ])("refuses with %s and %p what no order could let take effect", (code, says, command) => {
    expect(refusal(command)).toEqual([code, expect.stringContaining(says)]);
  });
});
