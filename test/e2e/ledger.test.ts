import { afterEach, describe, expect, test } from "bun:test";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { type Client, connect, CretoError } from "../../src/client/main.ts";
import { READY_MS, RealCluster } from "./real-cluster.ts";

const VALIDATORS = 4;
/** Of each validator's account in a testnet. */
const OPENING = 1_000_000n;
const ROUNDS = 20;
const DRAWS = 10;
/** Whose process dies. */
const VICTIM = 1;

let cluster: RealCluster | null = null;
const clients: Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await cluster?.stop();
  cluster = null;
});

async function started(engine: string): Promise<RealCluster> {
  cluster = await RealCluster.create(VALIDATORS, { application: "ledger", engine });
  // So that the restart begins from a snapshot.
  for (const config of cluster.configs) appendFileSync(config, "\n[storage]\nsnapshot_interval = 20\n");
  // Every view has another leader: each round of them waits once for a node that is down.
  if (engine === "hotstuff") for (const config of cluster.configs) setPatience(config, 50, 400);
  await cluster.start();
  return cluster;
}

/** How long a leader may take: four times the first at least, the second before anything was measured; milliseconds. */
function setPatience(config: string, finalityMs: number, initialMs: number): void {
  const keys = `finality_timeout_ms = ${finalityMs}\nview_change_timeout_ms = ${initialMs}\n`;
  writeFileSync(config, readFileSync(config, "utf8").replace("[consensus]\n", `[consensus]\n${keys}`));
}

function clientOf(
  running: RealCluster,
  session: { readonly client?: string; readonly nextNumber?: number } = {},
): Client {
  const client = connect({ nodes: running.nodes.map(({ apiUrl }) => apiUrl), timeoutMs: 90_000, session });
  clients.push(client);
  return client;
}

const account = (index: number): string => `node-${(index % VALIDATORS) + 1}/main`;
const fees = `node-${VICTIM + 1}/fees`;

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.catch((reason: unknown) => reason);
  if (error instanceof CretoError) return error.code;
  throw new Error(`not refused: ${JSON.stringify(error)}`);
}

describe("the ledger of four real nodes that order everything", () => {
  test.each(["pbft", "hotstuff"])(
    "on %s moves every unit once while a node is killed, and is the same everywhere",
    async (engine) => {
      const running = await started(engine);
      const client = clientOf(running);
      const { ledger } = client;
      const allowed = 1_000n;
      await ledger.approve({ account: account(0), spender: fees, amount: allowed });

      // Each pays the next: amounts that do not cancel out. The victim's own are under way when it dies.
      const dying = Promise.withResolvers<void>();
      let settled = 0;
      const transfers = running.nodes.flatMap((_, at) =>
        Array.from({ length: ROUNDS }, async () => {
          await ledger.transfer({ from: account(at), to: account(at + 1), amount: BigInt(10 * (at + 1)) });
          settled += 1;
          if (settled === VALIDATORS * 2) dying.resolve();
        }),
      );
      const draws = Array.from({ length: DRAWS }, () =>
        ledger.transferFrom({ spender: fees, from: account(0), to: account(2), amount: 7n }),
      );
      await dying.promise;
      await running.node(VICTIM).crash();
      running.node(VICTIM).start();
      await Promise.all([...transfers, ...draws]);
      await running.node(VICTIM).whenReady(READY_MS);

      const drawn = 7n * BigInt(DRAWS);
      const expected = running.nodes.map((_, at) => {
        const got = BigInt(ROUNDS * 10 * (at === 0 ? VALIDATORS : at));
        const paid = BigInt(ROUNDS * 10 * (at + 1));
        return OPENING + got - paid + (at === 0 ? -drawn : at === 2 ? drawn : 0n);
      });
      const digests = new Set<string>();
      for (const { apiUrl } of running.nodes) {
        const one = connect({ nodes: [apiUrl], timeoutMs: 60_000 });
        clients.push(one);
        const balances = await Promise.all(expected.map((_, at) => one.ledger.balance(account(at))));
        expect(balances).toEqual(expected);
        expect(await one.ledger.allowance(account(0), fees)).toBe(allowed - drawn);
        const all = await Array.fromAsync(one.ledger.accounts());
        const { total, digest } = await one.ledger.summary();
        expect(all.reduce((sum, { balance }) => sum + balance, 0n)).toBe(total);
        expect(total).toBe(BigInt(VALIDATORS) * OPENING);
        digests.add(digest);
      }
      expect(digests.size).toBe(1);
    },
    180_000,
  );

  test("answers a command that is sent again after a crash with what it did, and refuses what cannot be", async () => {
    const running = await started("pbft");
    const session = { client: "5e".repeat(16) };
    const order = { from: account(VICTIM), to: account(2), amount: 250n };
    const first = clientOf(running, session);
    const done = await first.ledger.transfer(order);
    await running.node(VICTIM).crash();
    running.node(VICTIM).start();
    // Another process with the number that the first one kept: at a node that has forgotten all but its disk.
    const second = clientOf(running, { ...session, nextNumber: 2 });
    const again = await second.ledger.transfer(order, { commandNumber: 1 });
    expect(again.place).toMatchObject({ position: done.place?.position, batch: done.place?.batch, isReplay: true });
    const { ledger } = clientOf(running);
    expect(await ledger.balance(account(VICTIM))).toBe(OPENING - 250n);

    expect(await codeOf(ledger.transfer({ ...order, amount: OPENING }))).toBe("insufficient-balance");
    expect(await codeOf(ledger.transfer({ ...order, number: 1 }))).toBe("number-used");
    const draw = { spender: account(0), from: account(2), to: account(0), amount: 1n };
    expect(await codeOf(ledger.transferFrom(draw))).toBe("insufficient-allowance");
    const approval = { account: account(2), spender: account(0), amount: 5n };
    await ledger.approve(approval);
    expect(await codeOf(ledger.approve({ ...approval, expected: 0n }))).toBe("allowance-changed");
    expect((await ledger.transferFrom(draw)).allowance).toBe(4n);
    const thief = connect({ nodes: [running.node(3).apiUrl] });
    clients.push(thief);
    expect(await codeOf(thief.ledger.transfer(order))).toBe("not-owner");
    expect((await ledger.summary()).total).toBe(BigInt(VALIDATORS) * OPENING);
  }, 120_000);
});
