import { afterEach, describe, expect, test } from "bun:test";
import type { LogLevel } from "../../src/node/observer.ts";
import { ReplicatedService } from "../../src/node/replicated/replicated-service.ts";
import { Replication } from "../../src/node/replicated/replication.ts";
import { systemClock } from "../../src/node/system-clock.ts";
import type { ClientId, Command } from "../../src/replication/command.ts";
import { KeyValueStore } from "../../src/replication/key-value/key-value-store.ts";
import { encodeKvCommand } from "../../src/replication/key-value/kv-command.ts";
import { decodeAnswer, encodeQuestion } from "../../src/replication/key-value/kv-query.ts";
import type { Application } from "../../src/replication/replicated.ts";
import { MemoryDisk } from "../../src/storage/memory-database.ts";
import { LocalCluster, type LocalNode, whenOpen } from "./local-cluster.ts";

const LIMIT = { timeoutMs: 20_000 };
const CLIENT = "0123456789abcdef0123456789abcdef" as ClientId;

interface Member {
  readonly local: LocalNode;
  readonly replication: Replication;
  readonly service: ReplicatedService;
}

const opened: ReplicatedService[] = [];
let cluster: LocalCluster | null = null;

afterEach(async () => {
  for (const service of opened.splice(0)) service.stop();
  await cluster?.stop();
  cluster = null;
});

interface Choice {
  readonly newApplication?: () => Application;
  readonly snapshotInterval?: number;
  readonly events?: string[];
}

async function open(index: number, disk: MemoryDisk, choice: Choice = {}): Promise<Member> {
  const replication = new Replication({
    name: "key-value",
    newApplication: choice.newApplication ?? ((): Application => new KeyValueStore()),
    takeChanges: (application) => (application as KeyValueStore).takeChanges(),
    snapshotInterval: choice.snapshotInterval ?? 1_000,
    snapshotsKept: 2,
    log: (_level: LogLevel, event: string) => choice.events?.push(event),
  });
  const local = await (cluster as LocalCluster).startNode(index, disk, replication);
  const service = new ReplicatedService({ replication, node: local.node, clock: systemClock });
  opened.push(service);
  return { local, replication, service };
}

async function started(count: number, choice: Choice = {}): Promise<readonly Member[]> {
  cluster = new LocalCluster(count);
  const members: Member[] = [];
  for (let index = 0; index < count; index++) members.push(await open(index, new MemoryDisk(), choice));
  for (const { local } of members) await whenOpen(local.node);
  return members;
}

function put(number: number, key: string, value: string, client = CLIENT): Command {
  const body = encodeKvCommand({ kind: "put", key, value: new TextEncoder().encode(value) });
  return { client, number, body };
}

async function get({ service }: Member, key: string, consistency: "local" | "linearizable"): Promise<string | null> {
  const { answer } = await service.query(encodeQuestion({ kind: "get", key }), { consistency, ...LIMIT });
  const found = decodeAnswer(answer);
  if (found.kind !== "get") throw new Error("an answer to a get");
  return found.entry === null ? null : new TextDecoder().decode(found.entry.value);
}

describe("a key-value store on four nodes", () => {
  test("a command that is told to be applied at one node is seen by a linearizable read at every other", async () => {
    const members = await started(4);
    for (const [round, { service }] of members.entries()) {
      const [outcome] = await service.command([put(round + 1, "key", `value ${round}`)], LIMIT);
      expect(outcome).toMatchObject({ status: "applied", isReplay: false, number: round + 1 });
      const seen = await Promise.all(members.map((member) => get(member, "key", "linearizable")));
      expect(seen).toEqual(members.map(() => `value ${round}`));
    }
    const roots = members.map(({ replication }) => replication.root);
    expect(new Set(roots).size).toBe(1);
  });

  test("a number that is used again, at any node and while it is under way, takes effect once", async () => {
    const members = await started(4);
    const once = put(1, "key", "once");
    const outcomes = await Promise.all(members.map(async ({ service }) => await service.command([once, once], LIMIT)));
    const positions = new Set(outcomes.flat().map(({ position }) => position));
    expect(positions.size).toBe(1);
    const [again] = await (members[2] as Member).service.command([once], LIMIT);
    expect(again).toMatchObject({ isReplay: true, position: [...positions][0] });
    expect((members[3] as Member).service.outcome(CLIENT, 1)).toMatchObject({ status: "applied" });
    expect((members[3] as Member).service.outcome(CLIENT, 2)).toBeNull();
  });

  test("a node that lags takes the number of a client that it has not heard of, and the order says what it is", async () => {
    const members = await started(4);
    const [first, , , last] = members as [Member, Member, Member, Member];
    // The order would call it forgotten; a state that has not heard of the client cannot know.
    expect(last.service.outcome(CLIENT, 65)).toBeNull();
    last.replication.recall = () => ({ kind: "forgotten", isCertain: false });
    const commands = Array.from({ length: 64 }, (_, at) => put(at + 1, "key", `${at}`));
    await first.service.command(commands, LIMIT);
    const [outcome] = await last.service.command([put(65, "key", "the 65th")], LIMIT);
    expect(outcome).toMatchObject({ status: "applied", number: 65 });
    // Not by `rejects`, which lets no other node go on while it waits.
    const refused = await first.service.command([put(1, "key", "too old")], LIMIT).catch((error: unknown) => error);
    expect(String(refused)).toContain("no longer remembered");
    expect(first.service.outcome(CLIENT, 1)).toBe("forgotten");
  });

  test("whoever watches gets every change once, in order, and those before on request", async () => {
    const [first] = await started(1);
    const { service } = first as Member;
    const seen: string[] = [];
    const unsubscribe = service.changes.subscribe(
      (changes) => seen.push(...changes.map(({ key }) => key)),
      null,
      () => undefined,
    );
    for (let number = 1; number <= 5; number++) await service.command([put(number, `k${number}`, "v")], LIMIT);
    unsubscribe();
    expect(seen).toEqual(["k1", "k2", "k3", "k4", "k5"]);
    const again: string[] = [];
    const { position } = service.outcome(CLIENT, 3) as { position: number };
    service.changes.subscribe(
      (changes) => again.push(...changes.map(({ key }) => key)),
      position,
      () => undefined,
    )();
    expect(again).toEqual(["k3", "k4", "k5"]);
    expect(() =>
      service.changes.subscribe(
        () => undefined,
        0,
        () => undefined,
      ),
    ).toThrow("read the range anew");
  });
});

describe("a node that comes back", () => {
  test.each([
    ["from the log alone", 1_000_000, "snapshot.taken", 0],
    ["from its newest snapshot and the log since", 10, "snapshot.taken", 1],
  ])("has the same state %s, and goes on", async (_, snapshotInterval, event, least) => {
    const events: string[] = [];
    const members = await started(4, { snapshotInterval, events });
    const [first, , , last] = members as [Member, Member, Member, Member];
    for (let number = 1; number <= 35; number++)
      await first.service.command([put(number, `k${number % 7}`, `${number}`)], LIMIT);
    expect(events.filter((each) => each === event).length).toBeGreaterThanOrEqual(least);
    await get(last, "k0", "linearizable");
    const { root } = last.replication;
    last.service.stop();
    await last.local.node.stop();
    last.local.database.crash();
    const back = await open(3, last.local.disk, { snapshotInterval });
    expect(back.replication.root).toBe(root);
    await whenOpen(back.local.node);
    const [outcome] = await back.service.command([put(1, "k1", "a replay")], LIMIT);
    expect(outcome).toMatchObject({ isReplay: true });
    await back.service.command([put(36, "k0", "36")], LIMIT);
    expect(await get(first, "k0", "linearizable")).toBe("36");
  });

  test("with an application that comes to another state is refused, in words for its operator", async () => {
    const members = await started(1);
    const [first] = members as [Member];
    await first.service.command([put(1, "k", "v")], LIMIT);
    await first.local.node.stop();
    class Other extends KeyValueStore {
      override stateHash(): Uint8Array {
        return super.stateHash().reverse();
      }
    }
    const again = open(0, first.local.disk, { newApplication: () => new Other() });
    await expect(again).rejects.toThrow("is it another version of the application, or is it not deterministic?");
  });
});

describe("a node whose application goes another way", () => {
  test("ends, and does not vote for what it came to", async () => {
    let isWrong = false;
    class Wrong extends KeyValueStore {
      override apply(...args: Parameters<KeyValueStore["apply"]>): Uint8Array {
        if (isWrong) throw new TypeError("a bug of the application");
        return super.apply(...args);
      }
    }
    cluster = new LocalCluster(4);
    const members: Member[] = [];
    for (let index = 0; index < 4; index++) {
      const choice = index === 3 ? { newApplication: (): Application => new Wrong() } : {};
      members.push(await open(index, new MemoryDisk(), choice));
    }
    for (const { local } of members) await whenOpen(local.node);
    const [first, , , last] = members as [Member, Member, Member, Member];
    await first.service.command([put(1, "k", "v")], LIMIT);
    isWrong = true;
    await first.service.command([put(2, "k", "w")], LIMIT);
    while (last.local.fatal === null) await new Promise((resolve) => setImmediate(resolve));
    expect(String(last.local.fatal)).toContain("the application failed at position");
    expect(String(last.local.fatal)).toContain("a bug of the application");
    expect(await get(first, "k", "linearizable")).toBe("w");
  });
});
