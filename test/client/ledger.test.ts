import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ApiServer } from "../../src/api/server.ts";
import { type Client, type ConnectOptions, connect, CretoError } from "../../src/client/main.ts";
import { NodeError } from "../../src/node/service.ts";
import { LedgerDouble, OTHER, SELF, serveLedger } from "../api/ledger-double.ts";

let double: LedgerDouble;
let servers: readonly ApiServer[];
let client: Client;
/** What was sent, as `<method> <path>`. */
let sent: string[];
/** Answers of changing requests that get lost on their way back. */
let lost: number;

const losing: NonNullable<ConnectOptions["fetch"]> = async (url, init) => {
  sent.push(`${init.method} ${new URL(url).pathname}${new URL(url).search}`);
  const response = await fetch(url, init);
  if (init.method === "GET" || lost === 0) return response;
  lost--;
  await response.body?.cancel();
  throw new TypeError("the connection broke");
};

beforeEach(async () => {
  double = new LedgerDouble();
  servers = await Promise.all([serveLedger(double, SELF), serveLedger(double, OTHER)]);
  sent = [];
  lost = 0;
  client = connect({ nodes: servers.map(({ url }) => url), timeoutMs: 20_000, fetch: losing });
});

afterEach(async () => {
  client.close();
  await Promise.all(servers.map((server) => server.close()));
});

async function failure(work: Promise<unknown>): Promise<CretoError> {
  const error: unknown = await work.catch((reason: unknown) => reason);
  if (error instanceof CretoError) return error;
  throw new Error(`not a CretoError: ${String(error)}`);
}

const HASH = expect.stringMatching(/^[0-9a-f]{64}$/);

describe("units of a network with a total order", () => {
  test("move by the node that owns the account, with an allowance also by its spender", async () => {
    const { ledger } = client;
    const paid = await ledger.transfer({ from: "bank-2/main", to: "bank-1/main", amount: 10n });
    expect(paid).toEqual({
      from: "bank-2/main",
      to: "bank-1/main",
      amount: 10n,
      number: 1,
      hash: HASH,
      sequence: 1,
      result: "applied",
      reason: null,
      place: { position: 1, batch: 1, stateHash: HASH, isReplay: false },
    });
    const approval = { account: "bank-1/main", spender: "bank-2/fees", amount: 40n };
    expect(await ledger.approve(approval)).toMatchObject({ ...approval, previous: 0n, place: { position: 2 } });
    expect(await ledger.allowance("bank-1/main", "bank-2/fees")).toBe(40n);
    const draw = { spender: "bank-2/fees", from: "bank-1/main", to: "bank-2/main", amount: 15n };
    expect(await ledger.transferFrom(draw)).toMatchObject({ ...draw, allowance: 25n, place: { isReplay: false } });
    expect(await ledger.balance("bank-1/main")).toBe(95n);
    expect(await Array.fromAsync(ledger.allowances("bank-1/main"))).toEqual([{ spender: "bank-2/fees", amount: 25n }]);
    expect(await Array.fromAsync(ledger.accounts({ prefix: "bank-2/" }))).toEqual([
      { name: "bank-2/main", balance: 55n, nextNumber: 2 },
    ]);
    expect(await ledger.summary()).toMatchObject({ total: 150n, accounts: 2, asOf: { position: 3 } });
    expect(await ledger.approve({ ...approval, amount: 0n, expected: 25n })).toMatchObject({ previous: 25n });
    expect(await Array.fromAsync(ledger.allowances("bank-1/main"))).toEqual([]);
  });

  test("move once, however often an answer is lost", async () => {
    lost = 3;
    await client.ledger.transfer({ from: "bank-1/main", to: "bank-2/main", amount: 10n });
    lost = 2;
    await client.ledger.approve({ account: "bank-2/main", spender: "bank-1/main", amount: 20n });
    lost = 2;
    double.lost = new NodeError("timeout", "not in time");
    const last = await client.ledger.transferFrom({
      spender: "bank-1/main",
      from: "bank-2/main",
      to: "bank-1/main",
      amount: 5n,
    });
    expect(last).toMatchObject({ allowance: 15n, place: { isReplay: true } });
    expect(double.commands.length).toBe(10);
    expect(new Set(double.commands.map(({ number }) => number))).toEqual(new Set([1, 2, 3]));
    expect([await client.ledger.balance("bank-1/main"), double.ledger.audit().total]).toEqual([95n, 150n]);
  });

  test("move once when a client that crashed says it again under the number that it kept", async () => {
    const kept: number[] = [];
    const session = {
      client: "ab".repeat(16),
      onNumber: ({ number }: { readonly number: number }) => kept.push(number),
    };
    const nodes = servers.map(({ url }) => url);
    const order = { from: "bank-1/main", to: "bank-2/main", amount: 10n };
    const first = connect({ nodes, session: { ...session, onNumber: (id) => void session.onNumber(id) } });
    await first.ledger.transfer(order);
    first.close();
    const second = connect({ nodes, session: { client: session.client, nextNumber: 2 } });
    const [commandNumber = 0] = kept;
    expect(await second.ledger.transfer(order, { commandNumber })).toMatchObject({ place: { isReplay: true } });
    const other = await failure(second.ledger.transfer({ ...order, amount: 11n }, { commandNumber }));
    expect(other.code).toBe("number-used");
    expect(await second.ledger.transfer(order)).toMatchObject({ number: 2, place: { isReplay: false } });
    second.close();
    expect(double.ledger.audit().total).toBe(150n);
    expect(await client.ledger.balance("bank-1/main")).toBe(80n);
  });

  test("wait for the node that owns them to come back", async () => {
    let refusals = 4;
    const away = connect({
      nodes: servers.map(({ url }) => url),
      timeoutMs: 20_000,
      fetch: async (url, init) => {
        if (!url.startsWith(servers[0]?.url ?? "") || refusals-- <= 0) return await fetch(url, init);
        throw Object.assign(new TypeError("nobody listens"), { code: "ECONNREFUSED" });
      },
    });
    const order = { from: "bank-1/main", to: "bank-2/main", amount: 10n };
    expect(await away.ledger.transfer(order)).toMatchObject({ number: 1, result: "applied" });
    expect(refusals).toBeLessThan(0);
    refusals = 1_000_000;
    const late = await failure(
      away.ledger.approve({ account: "bank-1/b", spender: "bank-2/b", amount: 1n }, { timeoutMs: 700 }),
    );
    expect([late.code, late.mayHaveHappened]).toEqual(["unreachable", false]);
    away.close();
    expect(await client.ledger.balance("bank-1/main")).toBe(90n);
  });

  test("are refused for a reason that the network has agreed on", async () => {
    const { ledger } = client;
    const order = { from: "bank-1/main", to: "bank-2/main", amount: 101n };
    const poor = await failure(ledger.transfer(order));
    expect([poor.code, poor.problem?.extra["current"]]).toEqual(["insufficient-balance", "100"]);
    expect((await failure(ledger.transfer({ ...order, amount: 1n, number: 2 }))).code).toBe("number-ahead");
    const draw = { spender: "bank-2/main", from: "bank-1/main", to: "bank-2/main", amount: 1n };
    expect((await failure(ledger.transferFrom(draw))).code).toBe("insufficient-allowance");
    const approval = { account: "bank-1/main", spender: "bank-2/main", amount: 1n };
    const changed = await failure(ledger.approve({ ...approval, expected: 3n }));
    expect([changed.code, changed.problem?.extra["current"]]).toEqual(["allowance-changed", "0"]);
    const foreign = `${"9".repeat(32)}/main`;
    expect((await failure(ledger.transfer({ ...order, from: foreign }))).code).toBe("not-owner");
    expect((await failure(ledger.approve({ ...approval, account: foreign }))).code).toBe("not-owner");
  });
});

describe("the ledger is read", () => {
  test("safely unless the caller wants it quick", async () => {
    await client.ledger.balance("bank-1/main");
    await client.ledger.balance("bank-1/main", { consistency: "local" });
    await client.ledger.summary({ consistency: "local" });
    await Array.fromAsync(client.ledger.accounts({ consistency: "local" }));
    await client.ledger.allowance("bank-1/main", "bank-2/main");
    expect(double.reads).toEqual(["linearizable", "local", "local", "local", "linearizable"]);
  });

  test("page by page", async () => {
    const names = Array.from({ length: 1_100 }, (_, index) => `bank-1/n${String(index).padStart(4, "0")}`);
    const server = await serveLedger(new LedgerDouble(new Map(names.map((name) => [name, 1n]))));
    const reader = connect({ nodes: [server.url], fetch: losing });
    const accounts = await Array.fromAsync(reader.ledger.accounts({ prefix: "bank-1/n" }));
    reader.close();
    await server.close();
    expect(accounts.map(({ name }) => name)).toEqual(names);
    expect(sent.length).toBe(3);
  });
});
