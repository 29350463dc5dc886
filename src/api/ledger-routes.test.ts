import { afterEach, describe, expect, test } from "bun:test";
import type { Hash } from "../lib/hash.ts";
import {
  type ClientPayload,
  type Intake,
  type LedgerService,
  NodeError,
  type NodeService,
  type Submission,
  type TransferOutcome,
  type WantedTransfer,
} from "../node/service.ts";
import { openApiDocument } from "./openapi.ts";
import { type ApiServer, createApiServer } from "./server.ts";

const HASH = "ab".repeat(32) as Hash;
const RECEIPT = { hash: HASH, sequence: 9, finalityMs: 1.5 };
const FINAL: Submission = { accepted: Promise.resolve([HASH]), finalized: Promise.resolve([RECEIPT]) };

let server: ApiServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

class FakeLedger implements LedgerService {
  readonly order = "partial";
  readonly wanted: WantedTransfer[] = [];
  refusal: NodeError | null = null;
  outcome: Promise<TransferOutcome> = Promise.resolve({ kind: "applied" });

  account(name: string): ReturnType<LedgerService["account"]> {
    if (!name.startsWith("bank-1/")) return null;
    const waiting = [{ to: "bank-2/a", amount: 2n ** 60n, number: 3 }];
    return { name, balance: 2n ** 64n - 1n, nextNumber: 2, isOwn: true, waiting };
  }

  summary(): ReturnType<LedgerService["summary"]> {
    return { total: 2n ** 64n - 1n, accounts: 3, digest: HASH, sequence: 8, isCurrent: true };
  }

  transfer(wanted: WantedTransfer): ReturnType<LedgerService["transfer"]> {
    this.wanted.push(wanted);
    if (this.refusal !== null) throw this.refusal;
    return { ...FINAL, number: wanted.number ?? 2, outcome: this.outcome };
  }
}

async function api(parts: {
  ledger?: LedgerService;
  intake?: Intake;
}): Promise<(path: string, body?: unknown) => Promise<Response>> {
  server = await createApiServer({
    service: { submit: () => FINAL } as unknown as NodeService,
    ...parts,
    host: "127.0.0.1",
    port: 0,
    cors: { enabled: false, origins: [] },
    log: () => undefined,
    metrics: { onRequest: () => undefined },
  });
  const { url } = server;
  const headers = { "content-type": "application/json" };
  return (path, body) =>
    fetch(`${url}${path}`, body === undefined ? {} : { method: "POST", headers, body: JSON.stringify(body) });
}

const PAY = { from: "bank-1/main", to: "bank-2/main", amount: "18446744073709551615" };

describe("the ledger's routes", () => {
  test("tell the whole and one account, amounts as texts", async () => {
    const ask = await api({ ledger: new FakeLedger() });
    expect(await (await ask("/v1/ledger")).json()).toEqual({
      total: "18446744073709551615",
      accounts: 3,
      digest: HASH,
      sequence: 8,
      isCurrent: true,
    });
    const account = {
      name: "bank-1/main",
      balance: "18446744073709551615",
      nextNumber: 2,
      isOwn: true,
      waiting: [{ to: "bank-2/a", amount: "1152921504606846976", number: 3 }],
    };
    for (const path of ["bank-1/main", "bank-1%2Fmain"])
      expect(await (await ask(`/v1/ledger/accounts/${path}`)).json()).toEqual(account);
  });

  test("say which names are none", async () => {
    const ask = await api({ ledger: new FakeLedger() });
    const answer = await ask("/v1/ledger/accounts/nobody/main");
    expect([answer.status, await answer.json()]).toEqual([
      400,
      expect.objectContaining({ type: "/problems/malformed", detail: expect.stringContaining("nobody/main") }),
    ]);
    expect((await ask("/v1/ledger/accounts/%zz/main")).status).toBe(400);
    expect((await ask("/v1/ledger/accounts/main")).status).toBe(404);
    expect((await ask("/v1/ledger/accounts/a/b/c")).status).toBe(404);
  });

  test("take a transfer: 202 when it is durable, 200 with what became of it when it is final", async () => {
    const ledger = new FakeLedger();
    const ask = await api({ ledger });
    const durable = await ask("/v1/ledger/transfers", PAY);
    expect([durable.status, await durable.json()]).toEqual([
      202,
      { ...PAY, number: 2, hash: HASH, sequence: null, finalized: false, finalityMs: null, result: null, reason: null },
    ]);
    ledger.outcome = Promise.resolve({ kind: "waiting", reason: "number 4 comes first" });
    const final = await ask("/v1/ledger/transfers?wait=finalized", { ...PAY, number: 5 });
    expect([final.status, await final.json()]).toEqual([
      200,
      {
        ...PAY,
        number: 5,
        ...RECEIPT,
        finalized: true,
        result: "waiting",
        reason: "number 4 comes first",
      },
    ]);
    expect(ledger.wanted).toEqual([
      { ...PAY, amount: 2n ** 64n - 1n, number: null },
      { ...PAY, amount: 2n ** 64n - 1n, number: 5 },
    ]);
  });

  test("answer 504 with the hash where the effect is not known in time", async () => {
    const ledger = new FakeLedger();
    ledger.outcome = new Promise(() => undefined);
    const answer = await (await api({ ledger }))("/v1/ledger/transfers?wait=finalized&timeoutMs=1", PAY);
    expect([answer.status, await answer.json()]).toEqual([504, expect.objectContaining({ hash: HASH })]);
  });

  test.each([
    ["amount", { amount: 5 }],
    ["amount", { amount: "0" }],
    ["amount", { amount: "1.5" }],
    ["amount", { amount: "18446744073709551616" }],
    ["number", { number: 0 }],
    ["number", { number: "1" }],
    ["from", { from: 7 }],
    ["to", { to: null }],
    ["memo", { memo: "x" }],
  ])("refuse a transfer for its %s: %p", async (word, change) => {
    const ledger = new FakeLedger();
    const answer = await (await api({ ledger }))("/v1/ledger/transfers", { ...PAY, ...change });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ detail: expect.stringContaining(word) });
    expect(ledger.wanted).toEqual([]);
  });

  test.each([
    ["malformed-transfer", 400],
    ["not-owner", 403],
    ["number-used", 409],
    ["insufficient-balance", 409],
    ["overloaded", 429],
    ["not-ready", 503],
  ] as const)("answer the ledger's %s with %d", async (code, status) => {
    const ledger = new FakeLedger();
    ledger.refusal = new NodeError(code, "because");
    const answer = await (await api({ ledger }))("/v1/ledger/transfers", PAY);
    expect([answer.status, await answer.json()]).toEqual([
      status,
      expect.objectContaining({ type: `/problems/${code}`, detail: "because" }),
    ]);
  });

  test("answer 404 no-ledger where the network runs none", async () => {
    const ask = await api({});
    for (const answer of [
      await ask("/v1/ledger"),
      await ask("/v1/ledger/accounts/bank-1/main"),
      await ask("/v1/ledger/transfers", PAY),
    ]) {
      expect([answer.status, await answer.json()]).toEqual([
        404,
        expect.objectContaining({ type: "/problems/no-ledger" }),
      ]);
    }
  });

  test("say what only a total order can do, and how to get one", async () => {
    const ask = await api({ ledger: new FakeLedger() });
    const approval = { account: "bank-1/main", spender: "bank-2/main", amount: "5" };
    for (const answer of [
      await ask("/v1/ledger?consistency=linearizable"),
      await ask("/v1/ledger/accounts/bank-1/main?consistency=linearizable"),
      await ask("/v1/ledger/accounts"),
      await ask("/v1/ledger/allowances?account=bank-1/main"),
      await ask("/v1/ledger/approvals", approval),
      await ask("/v1/ledger/transfers-from", { spender: "bank-1/main", from: "bank-2/main", to: "bank-1/main" }),
    ]) {
      expect([answer.status, await answer.json()]).toEqual([
        409,
        expect.objectContaining({
          type: "/problems/needs-total-order",
          detail: expect.stringContaining("--engine pbft"),
        }),
      ]);
    }
    expect((await ask("/v1/ledger?consistency=local")).status).toBe(200);
    expect((await ask("/v1/ledger/accounts/bank-1/main?consistency=maybe")).status).toBe(400);
  });

  test("are documented with both parts of an account's name", () => {
    const text = JSON.stringify(openApiDocument());
    expect(text).toContain('"/v1/ledger/accounts/{owner}/{account}"');
    expect(text).toContain('{"name":"account","in":"path"');
    expect(text).toContain('"#/components/schemas/Transfer"');
  });
});

describe("conflict keys", () => {
  test("of a payload come to the node as they are", async () => {
    const taken: ClientPayload[] = [];
    const intake: Intake = {
      submit: (items) => {
        taken.push(...items);
        return FINAL;
      },
      open: (payload) => ({ payload, conflictKeys: [] }),
    };
    const ask = await api({ intake });
    expect((await ask("/v1/vertices", { payload: "BwgJ", conflictKeys: ["AQ==", "Ag=="] })).status).toBe(202);
    expect((await ask("/v1/vertices/batch", { payloads: ["BwgJ"] })).status).toBe(202);
    const payload = new Uint8Array([7, 8, 9]);
    const conflictKeys = [new Uint8Array([1]), new Uint8Array([2])];
    expect(taken).toEqual([
      { payload, conflictKeys },
      { payload, conflictKeys: [] },
    ]);
    expect((await ask("/v1/vertices", { payload: "BwgJ", conflictKeys: "AQ==" })).status).toBe(400);
    expect((await ask("/v1/vertices", { payload: "BwgJ", conflictKeys: ["?"] })).status).toBe(400);
  });

  test("are refused where everything is ordered", async () => {
    const ask = await api({});
    const answer = await ask("/v1/vertices", { payload: "BwgJ", conflictKeys: ["AQ=="] });
    expect([answer.status, await answer.json()]).toEqual([
      400,
      expect.objectContaining({ type: "/problems/conflict-keys-refused" }),
    ]);
  });
});
