import { afterEach, describe, expect, test } from "bun:test";
import type { LogLevel } from "../../src/node/observer.ts";
import { ReplicatedService } from "../../src/node/replicated/replicated-service.ts";
import { Replication } from "../../src/node/replicated/replication.ts";
import { systemClock } from "../../src/node/system-clock.ts";
import { isRecoverable, recover } from "../../src/node/transfer/recovery.ts";
import { StateTaken } from "../../src/node/transfer/state-taker.ts";
import type { ClientId, Command } from "../../src/replication/command.ts";
import { KeyValueStore } from "../../src/replication/key-value/key-value-store.ts";
import { encodeKvCommand } from "../../src/replication/key-value/kv-command.ts";
import { decodeAnswer, encodeQuestion } from "../../src/replication/key-value/kv-query.ts";
import type { Application } from "../../src/replication/replicated.ts";
import { MemoryDatabase, MemoryDisk } from "../../src/storage/memory-database.ts";
import { membershipOf } from "../cluster/signing.ts";
import { LocalCluster, type LocalNode, whenOpen } from "./local-cluster.ts";

const LIMIT = { timeoutMs: 20_000 };
const CLIENT = "0123456789abcdef0123456789abcdef" as ClientId;

interface Member {
  readonly index: number;
  readonly local: LocalNode;
  readonly replication: Replication;
  readonly service: ReplicatedService;
}

interface Choice {
  readonly newApplication?: () => Application;
  readonly joinGap?: number;
  readonly retention?: number;
  readonly events?: string[];
}

const opened: ReplicatedService[] = [];
let cluster: LocalCluster | null = null;

afterEach(async () => {
  for (const service of opened.splice(0)) service.stop();
  await cluster?.stop();
  cluster = null;
});

async function open(index: number, disk: MemoryDisk, choice: Choice = {}): Promise<Member> {
  const replication = new Replication({
    name: "key-value",
    newApplication: choice.newApplication ?? ((): Application => new KeyValueStore()),
    takeChanges: (application) => (application as KeyValueStore).takeChanges(),
    snapshotInterval: 20,
    snapshotsKept: 2,
    retention: choice.retention ?? 0,
    log: (_level: LogLevel, event: string) => choice.events?.push(event),
  });
  const { joinGap = 20 } = choice;
  const local = await (cluster as LocalCluster).startNode(index, disk, replication, { joinGap });
  const service = new ReplicatedService({ replication, node: local.node, clock: systemClock });
  opened.push(service);
  return { index, local, replication, service };
}

async function started(indices: readonly number[], choice: Choice = {}): Promise<Member[]> {
  cluster = new LocalCluster(4);
  const members: Member[] = [];
  for (const index of indices) members.push(await open(index, new MemoryDisk(), choice));
  for (const { local } of members) await whenOpen(local.node);
  return members;
}

/** One batch for each. */
async function put(member: Member, from: number, to: number): Promise<void> {
  for (let number = from; number <= to; number++) {
    const body = encodeKvCommand({ kind: "put", key: `k${number % 9}`, value: new TextEncoder().encode(`${number}`) });
    const command: Command = { client: CLIENT, number, body };
    await member.service.command([command], LIMIT);
  }
}

async function get({ service }: Member, key: string): Promise<string | null> {
  const question = encodeQuestion({ kind: "get", key });
  const { answer } = await service.query(question, { consistency: "linearizable", ...LIMIT });
  const found = decodeAnswer(answer);
  if (found.kind !== "get") throw new Error("an answer to a get");
  return found.entry === null ? null : new TextDecoder().decode(found.entry.value);
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a process does whose node stopped to start again on another state. */
async function startedAgain(member: Member, choice: Choice = {}): Promise<Member> {
  const { local, index, service } = member;
  await until("a reason to start again", () => local.fatal !== null);
  if (!isRecoverable(local.fatal)) throw local.fatal;
  service.stop();
  await local.node.stop();
  const { network } = cluster as LocalCluster;
  const parts = {
    network,
    membership: membershipOf(network),
    nodeId: local.keys.nodeId,
    engine: "pbft" as const,
    database: new MemoryDatabase({ disk: local.disk }),
    log: (_level: LogLevel, event: string): void => void choice.events?.push(event),
  };
  await recover(parts, local.fatal);
  return await open(index, local.disk, choice);
}

describe("a node that joins late", () => {
  test("takes a certified state over from its peers, and the log from there on", async () => {
    const members = await started([0, 1, 2]);
    const [first] = members as [Member];
    await put(first, 1, 100);
    const late = await open(3, new MemoryDisk());
    const joined = await startedAgain(late);
    expect(late.local.fatal).toBeInstanceOf(StateTaken);
    await whenOpen(joined.local.node);
    expect(await get(joined, "k1")).toBe("100");
    expect(joined.replication.root).toBe(first.replication.root);
    const [begin] = await first.local.node.finalized({ from: 1, limit: 1 });
    expect(begin?.sequence).toBe(1);
    await expect(joined.local.node.finalized({ from: 1, limit: 1 })).rejects.toThrow("begins with sequence");
    await put(joined, 101, 110);
    expect(await get(first, "k2")).toBe("110");
    expect(await get(first, "k1")).toBe("109");
  });
});

/** Once, while it is told to, it puts another value than it was told to put. */
class Forgetful extends KeyValueStore {
  static isWrong = false;

  override apply(command: Uint8Array, context: Parameters<KeyValueStore["apply"]>[1]): Uint8Array {
    if (!Forgetful.isWrong) return super.apply(command, context);
    Forgetful.isWrong = false;
    return super.apply(encodeKvCommand({ kind: "put", key: "wrong", value: new Uint8Array(1) }), context);
  }
}

/** As a version of the application that does something else than the others'. */
class Another extends KeyValueStore {
  override stateHash(): Uint8Array {
    return super.stateHash().map((byte) => byte ^ 1);
  }
}

describe("a node whose state is not the quorum's", () => {
  test("says so, goes back to the newest certified state, follows silently, and votes again", async () => {
    const choice = { newApplication: (): Application => new Forgetful(), joinGap: 0, events: [] as string[] };
    const members = await started([0, 1, 2], {});
    cluster?.tolerated.push("divergent-state");
    const [first] = members as [Member];
    const last = await open(3, new MemoryDisk(), choice);
    await whenOpen(last.local.node);
    await put(first, 1, 70);
    Forgetful.isWrong = true;
    await put(first, 71, 110);
    const back = await startedAgain(last, choice);
    expect(choice.events).toContain("state.diverged");
    expect(back.replication.sequence).toBeGreaterThanOrEqual(32);
    expect(back.local.node.readiness().reasons.join()).toContain("votes again from checkpoint");
    await put(first, 111, 200);
    await until("the silence ends", () => back.local.node.readiness().ready);
    expect(await get(back, "wrong")).toBeNull();
    expect(back.replication.root).toBe(first.replication.root);
    await put(back, 201, 205);
    expect(await get(first, "k7")).toBe("205");
  });

  test("ends where it comes to a wrong state again: that is the application's fault", async () => {
    const members = await started([0, 1, 2]);
    cluster?.tolerated.push("divergent-state");
    const [first] = members as [Member];
    const choice = { newApplication: (): Application => new Another() };
    // It began with the same root as the others only where nobody looked.
    const last = await open(3, new MemoryDisk(), choice);
    await put(first, 1, 40);
    const again = await startedAgain(last, choice);
    await put(first, 41, 80);
    await expect(startedAgain(again, choice)).rejects.toThrow("another version than that of the others");
  });
});

describe("a node that keeps only so many vertices", () => {
  test("deletes what is older, says so to who asks for it, and brings a new node to where it is", async () => {
    const choice = { retention: 30, events: [] as string[] };
    const members = await started([0, 1, 2], choice);
    const [first, second] = members as [Member, Member];
    await put(first, 1, 170);
    await until("every node forgot", () => choice.events.filter((event) => event === "log.pruned").length >= 3);
    await expect(first.local.node.finalized({ from: 1, limit: 10 })).rejects.toThrow("begins with sequence");
    const { lastSequence } = first.local.node.status();
    const kept = await first.local.node.finalized({ from: lastSequence - 30, limit: 31 });
    expect(kept.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 31 }, (_, at) => lastSequence - 30 + at));
    const { root } = second.replication;
    second.service.stop();
    await second.local.node.stop();
    const restarted = await open(second.index, second.local.disk, choice);
    expect(restarted.replication.root).toBe(root);
    // Nobody has the whole log: the distance does not matter.
    const late = await open(3, new MemoryDisk(), { joinGap: 0 });
    const joined = await startedAgain(late);
    await whenOpen(joined.local.node);
    expect(await get(joined, "k8")).toBe("170");
    expect(joined.replication.root).toBe(first.replication.root);
  });
});
