import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeProcess } from "../../src/cli/node-process.ts";
import { createTestnet } from "../../src/cli/testnet.ts";
import { connect, type KeyChange } from "../../src/client/main.ts";
import { loadConfig } from "../../src/node/config.ts";

const PATIENCE_MS = 90_000;
setDefaultTimeout(PATIENCE_MS);

const WRITES = 200;

const folder = mkdtempSync(join(tmpdir(), "cretoai-client-kv-"));
let nodes: readonly NodeProcess[] = [];

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.crash()));
  rmSync(folder, { recursive: true });
}, PATIENCE_MS);

test("a client of a key-value network writes once and watches all of it, while the node that it uses is killed", async () => {
  const where = { output: join(folder, "net"), basePort: 0, host: "127.0.0.1", hybrid: true };
  const made = await createTestnet({ validators: 4, engine: "pbft", application: "key-value", ...where });
  nodes = made.map(({ config }) => new NodeProcess(loadConfig(config)));
  for (const node of nodes) node.start();
  await Promise.all(nodes.map((node) => node.whenReady(60_000)));
  const client = connect({ nodes: nodes.map(({ apiUrl }) => apiUrl), timeoutMs: 60_000 });
  const watch = client.kv.watch({ prefix: "k/" });
  await watch.ready;

  const { version } = await client.kv.put("k/0", "first");
  expect(await client.kv.compareAndSet("k/0", "absent", "x")).toEqual({ isSet: false, current: version });
  expect(await client.kv.compareAndSet("k/0", version, "second")).toMatchObject({ isSet: true, previous: version });
  const writes = Array.from({ length: WRITES }, (_, index) => client.kv.put(`k/${index + 1}`, `${index}`));
  const { node: used } = await client.status();
  await nodes.find(({ apiUrl }) => apiUrl === used)?.crash();
  await Promise.all(writes);
  await client.kv.delete("k/0");
  await client.kv.put("other", "not watched");

  const keys: string[] = [];
  for await (const { key } of client.kv.range({ reverse: true })) keys.push(key);
  expect(keys).toHaveLength(WRITES + 1);
  expect(new Set(keys).size).toBe(WRITES + 1);
  const seen: KeyChange[] = [];
  for await (const change of watch) {
    seen.push(change);
    if (change.key === "k/0" && change.value === null) break;
  }
  // Two writes of k/0, its deletion, and each of the others once.
  expect(seen).toHaveLength(WRITES + 3);
  expect(seen.map(({ position }) => position)).toEqual(seen.map(({ position }) => position).sort((a, b) => a - b));
  expect(await client.outcome(client.session.nextNumber - 1)).toMatchObject({ status: "applied", isReplay: true });

  // A range of several pages, read while others write, and all that changes after it: nothing is lost between the two.
  const writers = [1, 2, 3].map(async (writer) => {
    for (let turn = 0; turn < 40; turn++) {
      const key = `k/${1 + ((7 * turn + writer) % WRITES)}`;
      if (turn % 5 === 4) await client.kv.delete(key);
      else await client.kv.put(key, `${writer} in turn ${turn}`);
    }
  });
  const text = (value: Uint8Array): string => new TextDecoder().decode(value);
  const { entries, position } = await client.kv.list({ prefix: "k/" });
  const held = new Map(entries.map(({ key, value }) => [key, text(value)]));
  const rest = client.kv.watch({ prefix: "k/", from: position + 1 });
  const written = Promise.all(writers).then(async () => await client.kv.put("k/last", "the end"));
  for await (const { key, value } of rest) {
    if (value === null) held.delete(key);
    else held.set(key, text(value));
    if (key === "k/last") break;
  }
  await written;
  const { entries: all } = await client.kv.list({ prefix: "k/" });
  expect([...held].sort(([left], [right]) => (left < right ? -1 : 1))).toEqual(
    all
      .map(({ key, value }) => [key, text(value)] as [string, string])
      .sort(([left], [right]) => (left < right ? -1 : 1)),
  );
  client.close();
});
