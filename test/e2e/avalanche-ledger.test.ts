import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { NodeProcess } from "../../src/cli/node-process.ts";
import { createTestnet } from "../../src/cli/testnet.ts";
import { run } from "../cli/command.ts";
import { AvalancheCluster, finalized, standing } from "./avalanche-cluster.ts";
import { ask } from "./growing-cluster.ts";

const VALIDATORS = 4;

/** What each validator's account begins with (`testnet --application ledger`). */
const OPENING = 1_000_000;

const ROUNDS = 25;

/** Numbers that the cheat of `run-dag-liar.ts` gives to two transfers each. */
const SPENDS = 16;

let cluster: AvalancheCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
}, 30_000);

interface Transferred {
  readonly status: number;
  readonly body: {
    readonly hash?: string;
    readonly result?: string | null;
    readonly type?: string;
    readonly detail?: string;
  };
}

interface Summary {
  readonly total: string;
  readonly digest: string;
  readonly isCurrent: boolean;
}

async function transfer(
  node: NodeProcess,
  wanted: { readonly from: string; readonly to: string; readonly amount: number; readonly number?: number },
): Promise<Transferred> {
  const response = await fetch(`${node.apiUrl}/v1/ledger/transfers?wait=finalized&timeoutMs=30000`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...wanted, amount: String(wanted.amount) }),
  });
  return { status: response.status, body: (await response.json()) as Transferred["body"] };
}

async function balance(node: NodeProcess, account: string): Promise<number> {
  return Number((await ask<{ readonly balance: string }>(node, `/v1/ledger/accounts/${account}`)).balance);
}

function account(index: number): string {
  return `node-${(index % VALIDATORS) + 1}/main`;
}

/** One digest everywhere, which says of all of them that they hold the same transfers to be final. */
async function whenEqual(running: AvalancheCluster, nodes: readonly NodeProcess[], final: number): Promise<Summary> {
  return await running.eventually(`one ledger everywhere, of ${final} transfers`, async () => {
    const places = await Promise.all(nodes.map(standing));
    const all = await Promise.all(nodes.map((node) => ask<Summary>(node, "/v1/ledger")));
    const [first] = all;
    if (first === undefined || places.some(({ lastSequence }) => lastSequence !== final)) return null;
    return all.every(({ digest, isCurrent }) => digest === first.digest && isCurrent) ? first : null;
  });
}

describe("a ledger on a leaderless network of four processes", () => {
  test("moves units at all nodes at once, loses none, and is the same everywhere", async () => {
    cluster = await AvalancheCluster.create(VALIDATORS, { application: "ledger" });
    const running = cluster;
    await running.start();
    const { nodes } = running;
    const opening = await whenEqual(running, running.nodes, 0);
    expect(Number(opening.total)).toBe(VALIDATORS * OPENING);
    expect((await standing(running.node(0))).engine).toBe("avalanche");

    // Each pays its two neighbours: amounts that do not cancel out.
    const done = await Promise.all(
      nodes.flatMap((node, at) =>
        Array.from({ length: ROUNDS }, (_, round) =>
          transfer(node, { from: account(at), to: account(at + 1 + (round % 2)), amount: 10 * (at + 1) }),
        ),
      ),
    );
    expect(done.map(({ status, body }) => [status, body.result])).toEqual(done.map(() => [200, "applied"]));
    const moved = await whenEqual(running, nodes, VALIDATORS * ROUNDS);
    expect(moved.total).toBe(opening.total);
    expect(moved.digest).not.toBe(opening.digest);
    const balances = await Promise.all(
      nodes.map((node) => Promise.all(nodes.map((_, at) => balance(node, account(at))))),
    );
    for (const seen of balances) expect(seen).toEqual(balances[0] ?? []);
    expect(balances[0]?.reduce((sum, one) => sum + one, 0)).toBe(VALIDATORS * OPENING);
    // Of 25 rounds 13 go to the next and 12 to the one behind it.
    const expected = nodes.map((_, at) => {
      const paid = (from: number): number => 10 * ((from % VALIDATORS) + 1);
      return OPENING - ROUNDS * paid(at) + 13 * paid(at + VALIDATORS - 1) + 12 * paid(at + VALIDATORS - 2);
    });
    expect(balances[0]).toEqual(expected);
  }, 60_000);

  test("lets nobody spend twice, spend what is not there, or spend what is another's", async () => {
    cluster = await AvalancheCluster.create(VALIDATORS, { application: "ledger" });
    const running = cluster;
    await running.start();
    const own = running.node(0);
    const number = 1;
    const twice = await Promise.all(
      [1, 2].map((to) => transfer(own, { from: account(0), to: account(to), amount: OPENING, number })),
    );
    expect(twice.map(({ status }) => status).toSorted()).toEqual([200, 409]);
    const refused = twice.find(({ status }) => status === 409);
    expect(["/problems/number-used", "/problems/conflict"]).toContain(refused?.body.type ?? "");
    const poor = await transfer(own, { from: account(0), to: account(1), amount: 1 });
    expect([poor.status, poor.body.type]).toEqual([409, "/problems/insufficient-balance"]);
    const stolen = await transfer(running.node(1), { from: account(2), to: account(1), amount: 1 });
    expect([stolen.status, stolen.body.type]).toEqual([403, "/problems/not-owner"]);
    const { total } = await whenEqual(running, running.nodes, 1);
    expect(Number(total)).toBe(VALIDATORS * OPENING);
    for (const node of running.nodes) {
      expect(await balance(node, account(0))).toBe(0);
      const paid = [await balance(node, account(1)), await balance(node, account(2))];
      expect(paid.toSorted()).toEqual([OPENING, 2 * OPENING]);
    }
  }, 60_000);
});

describe("a ledger on three honest processes and one whose organisation cheats", () => {
  test("takes one of two transfers of a number, the same one everywhere, and goes on", async () => {
    cluster = await AvalancheCluster.create(VALIDATORS, { application: "ledger" });
    const running = cluster;
    const liar = VALIDATORS - 1;
    const honest = running.nodes.slice(0, liar);
    await running.start(honest);
    running.startLiar(liar, "spend");
    const done = await Promise.all(
      honest.flatMap((node, at) =>
        Array.from({ length: ROUNDS }, () => transfer(node, { from: account(at), to: account(at + 1), amount: 5 })),
      ),
    );
    expect(done.map(({ status, body }) => [status, body.result])).toEqual(done.map(() => [200, "applied"]));
    const { total } = await whenEqual(running, honest, done.length + SPENDS);
    expect(Number(total)).toBe(VALIDATORS * OPENING);
    for (const node of honest) {
      expect(await balance(node, account(liar))).toBe(OPENING - SPENDS + 5 * ROUNDS);
      const own = (await finalized(node)).filter(({ creator }) => creator === running.ids[liar]);
      expect(own).toHaveLength(SPENDS);
      // The other half of each pair has lost, and waits for nothing any more.
      await running.eventually("nothing pends", async () => ((await standing(node)).pending === 0 ? true : null));
    }
  }, 60_000);
});

describe("an application that needs a total order", () => {
  test("is refused at the start of a leaderless node, with the engine to use", async () => {
    const folder = mkdtempSync(join(tmpdir(), "cretoai-key-value-"));
    try {
      const testnet = { validators: 1, engine: "avalanche", basePort: 0, host: "127.0.0.1", hybrid: true };
      const [made] = await createTestnet({ ...testnet, output: join(folder, "net") });
      const config = made?.config ?? "";
      const file = join(dirname(config), "genesis.json");
      const genesis = JSON.parse(readFileSync(file, "utf8")) as object;
      writeFileSync(file, JSON.stringify({ ...genesis, application: "key-value" }));
      const { code, stdout, stderr } = await run(["start", "--config", config]);
      expect(code).not.toBe(0);
      expect(stdout + stderr).toContain("needs a total order");
      expect(stdout + stderr).toContain("Its engine is pbft");
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 30_000);
});
