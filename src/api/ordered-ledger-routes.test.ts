import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { LedgerDouble, OTHER, serveLedger } from "../../test/api/ledger-double.ts";
import { NodeError } from "../node/service.ts";
import type { ClientId } from "../replication/command.ts";
import { encodeLedgerCommand } from "../replication/ledger/ledger-command.ts";
import type { ApiServer } from "./server.ts";

const CLIENT = "0123456789abcdef".repeat(2) as ClientId;

let double: LedgerDouble;
let server: ApiServer;
beforeEach(async () => {
  double = new LedgerDouble();
  server = await serveLedger(double);
});
afterEach(() => server.close());

interface Said {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function ask(path: string): Promise<Said> {
  const response = await fetch(server.url + path);
  return { status: response.status, body: (await response.json()) as Said["body"] };
}

async function post(path: string, body: object, number: number | null = null): Promise<Said> {
  const name = number === null ? {} : { "x-cretoai-client": CLIENT, "x-cretoai-number": String(number) };
  const headers = { "content-type": "application/json", ...name };
  const response = await fetch(`${server.url}/v1/ledger/${path}`, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Said["body"] };
}

/** The other bank lets us move so much of its account. */
function allowed(amount: bigint, number = 1): void {
  double.creator = OTHER;
  const body = encodeLedgerCommand({
    kind: "approve",
    account: "bank-2/main",
    spender: "bank-1/main",
    amount,
    expected: null,
  });
  double.apply({ client: "f".repeat(32) as ClientId, number, body });
}

const HASH = expect.stringMatching(/^[0-9a-f]{64}$/);
const PAY = { from: "bank-1/main", to: "bank-2/main", amount: "30" };
const DRAW = { spender: "bank-1/main", from: "bank-2/main", to: "bank-1/main", amount: "20" };

describe("a transfer where everything is ordered", () => {
  test("takes effect before it is answered, and says where and what it led to", async () => {
    for (const path of ["transfers", "transfers?wait=finalized&timeoutMs=500"]) {
      const number = double.commands.length + 1;
      const { status, body } = await post(path, PAY);
      expect(status).toBe(200);
      expect(body).toEqual({
        ...PAY,
        number,
        hash: HASH,
        sequence: number,
        finalized: true,
        finalityMs: null,
        result: "applied",
        reason: null,
        fromBalance: String(100 - 30 * number),
        toBalance: String(50 + 30 * number),
        position: number,
        batch: number,
        stateHash: HASH,
        isReplay: false,
      });
    }
    expect((await post("transfers?wait=later", PAY)).status).toBe(400);
  });

  test("that is sent again under its name moves units once", async () => {
    double.lost = new NodeError("timeout", "not in time");
    const late = await post("transfers", PAY, 1);
    expect(late).toMatchObject({ status: 504, body: { client: CLIENT, number: 1 } });
    const again = await post("transfers", PAY, 1);
    expect(again).toMatchObject({ status: 200, body: { number: 1, isReplay: true, hash: null, fromBalance: "70" } });
    expect((await ask("/v1/ledger/accounts/bank-1/main")).body).toMatchObject({ balance: "70" });
  });

  test.each([
    ["amount", { amount: "31" }],
    ["payee", { to: "bank-1/other" }],
    ["number", { number: 2 }],
  ])("under the name of one of another %s is refused", async (_, change) => {
    await post("transfers", PAY, 1);
    const answer = await post("transfers", { ...PAY, ...change }, 1);
    expect(answer).toMatchObject({ status: 409, body: { type: "/problems/number-used" } });
    const approval = { account: "bank-1/main", spender: "bank-2/main", amount: "30" };
    expect(await post("approvals", approval, 1)).toMatchObject({
      status: 409,
      body: { type: "/problems/number-used" },
    });
  });

  test("goes by its number at the account, where it has one", async () => {
    expect((await post("transfers", { ...PAY, number: 1 })).status).toBe(200);
    const used = await post("transfers", { ...PAY, number: 1 });
    expect(used).toMatchObject({ status: 409, body: { type: "/problems/number-used", current: "1" } });
    const ahead = await post("transfers", { ...PAY, number: 3 });
    expect(ahead).toMatchObject({ status: 409, body: { type: "/problems/number-ahead", current: "1" } });
  });

  test("of more than there is is refused at once, for good, with the balance", async () => {
    const refused = {
      status: 409,
      body: {
        type: "/problems/insufficient-balance",
        detail: "the account has too little: its balance is 100",
        reason: "insufficient-balance",
        current: "100",
        client: CLIENT,
        number: 1,
        position: 1,
        isReplay: false,
      },
    };
    expect(await post("transfers", { ...PAY, amount: "101" }, 1)).toMatchObject(refused);
    const again = await post("transfers", { ...PAY, amount: "101" }, 1);
    expect(again).toMatchObject({ ...refused, body: { ...refused.body, isReplay: true } });
  });

  test.each([
    [403, "not-owner", { from: "bank-2/main", to: "bank-1/main" }],
    [400, "malformed-transfer", { from: "main" }],
    [400, "malformed-transfer", { to: "nobody/main" }],
    [400, "malformed-transfer", { to: "bank-1/main" }],
    [400, "malformed", { amount: "0" }],
    [400, "malformed", { to: "x".repeat(65) }],
    [400, "malformed", { to: "bank-2/ø" }],
  ])("is refused with %d %s before it is ordered: %p", async (status, kind, change) => {
    const answer = await post("transfers", { ...PAY, ...change }, 1);
    expect(answer).toMatchObject({ status, body: { type: `/problems/${kind}` } });
    expect(double.commands).toEqual([]);
  });
});

describe("an allowance", () => {
  test("is given, changed where it is as expected, and told", async () => {
    const given = { account: "bank-1/main", spender: "bank-2/main", amount: "40" };
    expect(await post("approvals", given)).toEqual({
      status: 200,
      body: { ...given, previous: "0", position: 1, batch: 1, stateHash: HASH, isReplay: false },
    });
    const changed = await post("approvals", { ...given, amount: "0", expected: "39" });
    expect(changed).toMatchObject({ status: 409, body: { type: "/problems/allowance-changed", current: "40" } });
    expect(await post("approvals", { ...given, spender: "bank-2/fees", amount: "1", expected: "0" })).toMatchObject({
      status: 200,
    });
    const list = await ask("/v1/ledger/allowances?account=bank-1/main");
    expect(list).toEqual({
      status: 200,
      body: {
        account: "bank-1/main",
        items: [
          { spender: "bank-2/fees", amount: "1" },
          { spender: "bank-2/main", amount: "40" },
        ],
        next: null,
        position: 3,
        batch: 3,
        stateHash: HASH,
      },
    });
    const page = await ask("/v1/ledger/allowances?account=bank-1%2Fmain&limit=1");
    expect(page.body).toMatchObject({ items: [{ spender: "bank-2/fees" }], next: "bank-2/main" });
    const one = await ask("/v1/ledger/allowances?account=bank-1/main&spender=bank-2/none");
    expect(one.body).toMatchObject({ items: [{ spender: "bank-2/none", amount: "0" }], next: null });
  });

  test("is spent by its spender, and no further", async () => {
    allowed(30n);
    expect(await post("transfers-from", DRAW, 1)).toEqual({
      status: 200,
      body: {
        ...DRAW,
        allowance: "10",
        fromBalance: "30",
        toBalance: "120",
        position: 2,
        batch: 2,
        stateHash: HASH,
        isReplay: false,
      },
    });
    expect(await post("transfers-from", DRAW, 1)).toMatchObject({ status: 200, body: { isReplay: true } });
    expect(await post("transfers-from", DRAW, 2)).toMatchObject({
      status: 409,
      body: { type: "/problems/insufficient-allowance", current: "10" },
    });
    allowed(1_000n, 2);
    expect(await post("transfers-from", { ...DRAW, amount: "31" }, 3)).toMatchObject({
      status: 409,
      body: { type: "/problems/insufficient-balance", current: "30" },
    });
    expect(double.ledger.audit().total).toBe(150n);
  });

  test.each([
    ["approvals", 403, { account: "bank-2/main", spender: "bank-1/main", amount: "5" }],
    ["approvals", 400, { account: "bank-1/main", spender: "bank-1/main", amount: "5" }],
    ["approvals", 400, { account: "bank-1/main", spender: "nobody/main", amount: "5" }],
    ["approvals", 400, { account: "bank-1/main", spender: "bank-2/main", amount: 5 }],
    ["approvals", 400, { account: "bank-1/main", spender: "bank-2/main", amount: "5", expected: "-1" }],
    ["approvals", 400, { account: "bank-1/main", spender: "bank-2/main", amount: "5", memo: "x" }],
    ["transfers-from", 403, { ...DRAW, spender: "bank-2/main" }],
    ["transfers-from", 400, { ...DRAW, to: DRAW.from }],
    ["transfers-from", 400, { ...DRAW, amount: "0" }],
  ])("is refused by %s with %d before it is ordered: %p", async (path, status, body) => {
    expect((await post(path, body)).status).toBe(status);
    expect(double.commands).toEqual([]);
  });

  test.each([
    "",
    "?account=main",
    "?account=nobody/x",
    "?account=bank-1/main&spender=x",
    "?account=bank-1/main&limit=0",
  ])("is not told for %p", async (query) => {
    expect((await ask(`/v1/ledger/allowances${query}`)).status).toBe(400);
  });
});

describe("an ordered ledger", () => {
  test("is told as a leaderless one is, with where the state stands", async () => {
    await post("transfers", { ...PAY, to: "bank-1/b" });
    const standing = { position: 1, batch: 1, stateHash: HASH };
    expect((await ask("/v1/ledger")).body).toEqual({
      total: "150",
      accounts: 3,
      allowances: 0,
      digest: HASH,
      sequence: 1,
      isCurrent: true,
      ...standing,
    });
    const account = { name: "bank-1/main", balance: "70", nextNumber: 2, isOwn: true, waiting: [], ...standing };
    for (const path of ["bank-1/main", "bank-1%2Fmain"])
      expect(await ask(`/v1/ledger/accounts/${path}`)).toEqual({ status: 200, body: account });
    expect((await ask("/v1/ledger/accounts/bank-2/none")).body).toMatchObject({ balance: "0", isOwn: false });
    expect(await ask("/v1/ledger/accounts?prefix=bank-1/&limit=1")).toEqual({
      status: 200,
      body: { items: [{ name: "bank-1/b", balance: "30", nextNumber: 1 }], next: "bank-1/main", ...standing },
    });
    const rest = await ask("/v1/ledger/accounts?from=bank-1/main");
    expect(rest.body).toMatchObject({ items: [{ name: "bank-1/main" }, { name: "bank-2/main" }], next: null });
  });

  test("is read safely unless the caller wants it quick", async () => {
    for (const path of ["", "/accounts/bank-1/main", "/accounts", "/allowances?account=bank-1/main"]) {
      const and = path.includes("?") ? "&" : "?";
      await ask(`/v1/ledger${path}`);
      await ask(`/v1/ledger${path}${and}consistency=local`);
      expect(double.reads.splice(0)).toEqual(["linearizable", "local"]);
      expect((await ask(`/v1/ledger${path}${and}consistency=maybe`)).status).toBe(400);
    }
  });

  test.each(["nobody/main", "%zz/main", "bank-1/%C3%B8"])("has no account %p", async (name) => {
    expect((await ask(`/v1/ledger/accounts/${name}`)).status).toBe(400);
  });

  test("takes writes that name no client, each once", async () => {
    for (let count = 0; count < 3; count++)
      expect((await post("transfers", { ...PAY, amount: "10" })).status).toBe(200);
    expect(new Set(double.commands.map(({ client }) => client)).size).toBe(1);
    expect(double.commands.map(({ number }) => number)).toEqual([1, 2, 3]);
  });
});
