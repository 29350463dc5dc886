import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeId } from "../crypto/identity.ts";
import type { Epoch } from "../membership/ids.ts";
import { ValidatorSet } from "../membership/validator-set.ts";
import { BAN_FIRST_MS, operatorBan } from "../peering/ban.ts";
import { PeerBook } from "./peer-book.ts";
import { PeersFileError, readPeersFile, restoreBans, writePeersFile } from "./peers-file.ts";
import type { Clock } from "./ports.ts";

const ids = ["11", "22", "33", "44"].map((digits) => digits.repeat(32) as NodeId);
const [first = "" as NodeId, second = "" as NodeId] = ids;
const stranger = "ee".repeat(32) as NodeId;
const publicKeys = { mlDsa: new Uint8Array(1), ed25519: null };
const set = new ValidatorSet(
  0 as Epoch,
  ids.map((nodeId) => ({ nodeId, publicKeys, name: nodeId.slice(0, 2) })),
);

function newBook(options: { readonly bans?: ConstructorParameters<typeof PeerBook>[0]["bans"] } = {}): {
  readonly book: PeerBook;
  readonly banned: string[];
  readonly lines: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[];
  readonly saved: string[][];
  readonly violations: string[];
  advance(ms: number): void;
} {
  let nowMs = 1_000_000;
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer: () => () => undefined,
    defer: () => undefined,
  };
  const banned: string[] = [];
  const lines: { event: string; fields: Readonly<Record<string, unknown>> }[] = [];
  const saved: string[][] = [];
  const violations: string[] = [];
  const book = new PeerBook({
    validators: () => set,
    clock,
    log: (_level, event, fields = {}) => lines.push({ event, fields }),
    bans: options.bans ?? new Map(),
    save: (bans) => {
      saved.push([...bans.keys()]);
      return Promise.resolve();
    },
    onViolation: (_peer, type) => violations.push(type),
    onBanned: (peer, reason) => banned.push(`${peer.slice(0, 2)} ${reason}`),
  });
  const advance = (ms: number): void => {
    nowMs += ms;
  };
  return { book, banned, lines, saved, violations, advance };
}

function times(count: number, work: () => void): void {
  for (let round = 0; round < count; round++) work();
}

describe("a node's opinion of its peers", () => {
  test("a liar is banned, disconnected, written down, and let in again on probation when the ban has ended", async () => {
    const { book, banned, saved, advance } = newBook();
    times(4, () => book.record(first, "malformed", "garbage"));
    expect(banned).toEqual(["11 banned: malformed"]);
    expect(book.report(first)).toMatchObject({
      state: "banned",
      violations: { malformed: 4 },
      ban: { by: "automatic" },
    });
    await book.settled();
    expect(saved.at(-1)).toEqual([first]);
    advance(BAN_FIRST_MS - 1);
    expect(book.stateOf(first)).toBe("banned");
    advance(1);
    expect(book.stateOf(first)).toBe("graylisted");
    expect(book.report(first).score).toBe(0.5);
    times(2, () => book.record(first, "malformed", "again"));
    expect(book.report(first).ban?.untilMs).toBe(1_000_000 + BAN_FIRST_MS + 2 * BAN_FIRST_MS);
  });

  test("never bans more than f validators by itself, whatever they do; strangers and the operator's bans are no such question", async () => {
    const { book, banned, lines } = newBook();
    times(10, () => book.record(first, "invalid-signature", "forged"));
    times(10, () => book.record(second, "invalid-signature", "forged"));
    times(10, () => book.record(stranger, "invalid-signature", "forged"));
    expect(banned.map((line) => line.slice(0, 2))).toEqual(["11", "ee"]);
    expect(book.stateOf(second)).toBe("throttled");
    expect(lines.some(({ event }) => event === "peer.ban-withheld")).toBe(true);
    await book.ban(second, { lengthMs: null, reason: "maintenance" });
    expect(book.report(second)).toMatchObject({ state: "banned", ban: { untilMs: null, by: "operator" } });
    expect(book.bannedCount()).toBe(3);
  });

  test("an operator's word ends a ban and makes the score whole; the counts of what happened stay", async () => {
    const { book } = newBook();
    times(4, () => book.record(first, "malformed", "garbage"));
    expect(await book.unban(first)).toEqual({
      nodeId: first,
      score: 1,
      state: "good",
      violations: { malformed: 4 },
      ban: null,
    });
  });

  test("bans of an earlier run are in force from the start", () => {
    const { book } = newBook({ bans: new Map([[first, operatorBan(null, "before", 999_000, 60_000)]]) });
    expect(book.isBanned(first)).toBe(true);
    expect(book.reports([]).map(({ nodeId, state }) => [nodeId, state])).toEqual([[first, "banned"]]);
  });

  test("each violation is counted, and logged until there are too many of one peer and type", () => {
    const { book, lines, violations, advance } = newBook();
    times(40, () => book.record(first, "timeout", "silence"));
    expect(violations.length).toBe(40);
    const logged = (): number => lines.filter(({ event }) => event === "peer.violation").length;
    expect(logged()).toBe(5);
    expect(lines[0]?.fields).toMatchObject({ peer: first, type: "timeout", detail: "silence" });
    advance(10_000);
    book.record(first, "timeout", "silence");
    expect(logged()).toBe(6);
    expect(lines.at(-1)?.fields["suppressed"]).toBe(35);
  });

  test("what is within the allowance of correct peers is no violation", () => {
    const { book, violations } = newBook();
    times(20_000, () => book.record(first, "replay", "duplicate"));
    expect(violations).toEqual([]);
    expect(book.record(first, "replay", "duplicate")).toBe(true);
  });
});

describe("the file of bans", () => {
  let folder = "";
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const newFile = (): string => {
    folder = mkdtempSync(join(tmpdir(), "cretoai-peers-"));
    return join(folder, "peers.json");
  };

  test("is read as it was written, and is absent at first", async () => {
    const file = newFile();
    expect((await readPeersFile(file)).size).toBe(0);
    const bans = new Map([
      [first, operatorBan(null, "no reason", 5, null)],
      [second, operatorBan(null, "", 5, 10)],
    ]);
    await writePeersFile(file, bans);
    expect(await readPeersFile(file)).toEqual(bans);
    expect(readdirSync(folder)).toEqual(["peers.json"]);
  });

  test("is refused in words where it is damaged, and moved aside by a node that starts", async () => {
    const file = newFile();
    const entry = { nodeId: first, sinceMs: 1, untilMs: null, reason: "", by: "operator", strikes: 0 };
    const damaged = [
      "{",
      "[]",
      '{"version":2,"bans":[]}',
      JSON.stringify({ version: 1, bans: [{ ...entry, nodeId: "x" }] }),
    ];
    for (const text of damaged) {
      writeFileSync(file, text);
      const error: unknown = await readPeersFile(file).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(PeersFileError);
      expect(String(error)).toContain(file);
    }
    const warnings: string[] = [];
    expect((await restoreBans(file, (_level, event) => warnings.push(event))).size).toBe(0);
    expect(warnings).toEqual(["peers.file-damaged"]);
    expect(readFileSync(`${file}.damaged`, "utf8")).toBe(damaged.at(-1) ?? "");
    expect(readdirSync(folder)).toEqual(["peers.json.damaged"]);
  });
});
