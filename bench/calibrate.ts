/**
 * Measures what the elementary operations of a node cost on this machine, with the node's own code: real keys, BLAKE3, the
 * codecs with a real sealed frame, RocksDB with fsync in the temp folder, QUIC frames and HTTP requests over loopback.
 *
 *   bun bench/calibrate.ts           a table
 *   bun bench/calibrate.ts --json    a `CostTable` (src/sim/cost/cost-table.ts)
 *
 * Costs are CPU time, medians of several rounds, so that other work on the machine matters little; `fsyncUs` is a wait. What a
 * node does once in a while (signatures, checks, frames, turns' writes, requests) is measured once in a while, every 2 ms: in a
 * tight loop, with warm caches and a thread that never sleeps, a small frame costs a fifth and a check two thirds of that.
 * The link and the cores are not measured: they are those of the reference table.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApiServer } from "../src/api/server.ts";
import { packPayloads } from "../src/cli/submit.ts";
import { decode, encode } from "../src/codec/codec.ts";
import { digestOf, hashOf } from "../src/crypto/hash.ts";
import { generateKeyPair } from "../src/crypto/key-pair.ts";
import { importPublicKeys } from "../src/crypto/public-keys.ts";
import { createVerifier } from "../src/crypto/verifier.ts";
import { type Bundle, bundleCodec, holdBundle } from "../src/dag/bundle.ts";
import { present } from "../src/lib/assert.ts";
import { type Hash, ZERO_HASH } from "../src/lib/hash.ts";
import type { Epoch, Nonce, Position, ValidatorIndex } from "../src/membership/ids.ts";
import { ValidatorSet } from "../src/membership/validator-set.ts";
import { createQuicTransport, type QuicTransport } from "../src/network/quic-transport.ts";
import { hashKey } from "../src/node/ledger-keys.ts";
import { metadataCodec } from "../src/node/ledger-rows.ts";
import type { NodeService } from "../src/node/service.ts";
import { systemClock } from "../src/node/system-clock.ts";
import { type Frame, frameCodec, frameSizeHint } from "../src/node/wire.ts";
import { WriteBatch } from "../src/node/write-batch.ts";
import { type CostTable, REFERENCE_COSTS } from "../src/sim/cost/cost-table.ts";
import { openRocksDatabase } from "../src/storage/open-rocks-database.ts";
import { machine } from "./machine.ts";

const ROUNDS = 15;

/** Operations of a round that are measured with pauses between them. */
const PACED = 25;
const PAUSE_MS = 2;

/** Rows of a large turn, and of all turns: a dozen fillings of that column's write buffer. */
const BATCH_ROWS = 1_000;
const ROWS_WRITTEN = 200_000;

interface Cost {
  /** Wall time of one operation, in microseconds. */
  readonly wallUs: number;
  /** CPU time of one operation, all threads. */
  readonly cpuUs: number;
  /** CPU time of one operation on the event loop's thread. */
  readonly loopUs: number;
}

/** The medians over the rounds of what `operations` operations cost, each round one call. */
async function measure(operations: number, round: () => Promise<void> | void): Promise<Cost> {
  await round();
  const seen: Cost[] = [];
  for (let index = 0; index < ROUNDS; index++) {
    const wall = performance.now();
    const cpu = process.cpuUsage();
    const loop = loopThreadUs();
    await round();
    const used = process.cpuUsage(cpu);
    seen.push({
      wallUs: ((performance.now() - wall) * 1_000) / operations,
      cpuUs: (used.user + used.system) / operations,
      loopUs: (loopThreadUs() - loop) / operations,
    });
  }
  return {
    wallUs: median(seen.map(({ wallUs }) => wallUs)),
    cpuUs: median(seen.map(({ cpuUs }) => cpuUs)),
    loopUs: median(seen.map(({ loopUs }) => loopUs)),
  };
}

/** As `measure`, each operation alone and after a pause, without what the pauses cost themselves. */
async function measurePaced(operation: () => Promise<unknown>): Promise<Cost> {
  const pauses = await measure(PACED, () => repeat(PACED, () => Bun.sleep(PAUSE_MS)));
  const all = await measure(PACED, () =>
    repeat(PACED, async () => {
      await operation();
      await Bun.sleep(PAUSE_MS);
    }),
  );
  return {
    wallUs: Math.max(0, all.wallUs - pauses.wallUs),
    cpuUs: Math.max(0, all.cpuUs - pauses.cpuUs),
    loopUs: Math.max(0, all.loopUs - pauses.loopUs),
  };
}

/** From the scheduler's own account, so on Linux only. */
function loopThreadUs(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1_000;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((left, right) => left - right);
  return present(sorted[sorted.length >> 1], "a round");
}

function times(count: number, work: () => void): () => void {
  return () => {
    for (let index = 0; index < count; index++) work();
  };
}

/** Cost of one KiB, from a large and a small measurement. */
function perKiB(large: number, small: number, bytes: number): number {
  return Math.max(0, (large - small) / (bytes / 1_024));
}

const keys = generateKeyPair({ hybrid: true });
const message = Uint8Array.from(randomBytes(96));
const signature = await keys.sign(message);

async function crypto(): Promise<Pick<CostTable, "signUs" | "verifyUs" | "verifyLoopUs">> {
  const verifier = createVerifier({ hybrid: true });
  const imported = importPublicKeys(keys.publicKeys);
  const sign = await measurePaced(() => keys.sign(message));
  const verify = await measurePaced(() => verifier.verify(imported, message, signature));
  return { signUs: sign.cpuUs, verifyUs: verify.cpuUs, verifyLoopUs: verify.loopUs };
}

/** Of ids and trees as a bundle's receiver computes them: three digests a vertex. */
async function hashing(): Promise<Pick<CostTable, "hashFixedUs" | "hashPerKiBUs">> {
  const validator = { nodeId: keys.nodeId, publicKeys: keys.publicKeys, name: "calibration" };
  const network = { genesis: ZERO_HASH, set: new ValidatorSet(0 as Epoch, [validator]) };
  const bundles = Array.from({ length: 40 }, () => newBundle(100));
  const hold = await measure(40 * 100 * 3, () => {
    for (const bundle of bundles) holdBundle(network, bundle);
  });
  const content = Uint8Array.from(randomBytes(65_536));
  const small = await measure(
    2_000,
    times(2_000, () => digestOf("vertex", message)),
  );
  const large = await measure(
    500,
    times(500, () => digestOf("vertex", content)),
  );
  const hashPerKiBUs = perKiB(large.cpuUs, small.cpuUs, content.length);
  return { hashFixedUs: hold.cpuUs - (hashPerKiBUs * 200) / 1_024 / 3, hashPerKiBUs };
}

function newBundle(vertices: number): Bundle {
  const bundle = {
    creator: 0 as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "application" as const,
    firstNonce: 1 as Nonce,
    timestampMs: 1,
    parents: [ZERO_HASH],
    payloads: Array.from({ length: vertices }, () => Uint8Array.from(randomBytes(200))),
  };
  return bundle;
}

/** A sealed frame with one bundle of so many payloads of 200 bytes, as the node sends it. */
function bundleFrame(vertices: number): Frame {
  const body = encode(bundleCodec, newBundle(vertices));
  const seal = { signer: 0 as ValidatorIndex, leafCount: 1, signature };
  const items = [{ index: 0, body }];
  const complement = new Uint8Array(0);
  const frame = { kind: "sealed" as const, epoch: 0 as Epoch, seal, items, complement };
  return frame;
}

async function codec(): Promise<Pick<CostTable, "encodeFixedUs" | "encodePerKiBUs" | "decodePerKiBUs">> {
  const costs = { small: { encode: 0, decode: 0 }, large: { encode: 0, decode: 0 } };
  let bytes = 0;
  for (const [size, vertices] of [
    ["small", 1],
    ["large", 400],
  ] as const) {
    const frame = bundleFrame(vertices);
    const wire = encode(frameCodec, frame);
    const count = size === "small" ? 5_000 : 200;
    const open = (): void => {
      const seen = decode(frameCodec, wire);
      if (seen.kind !== "sealed") return;
      for (const item of seen.items) decode(bundleCodec, item.body);
    };
    const first = frame.kind === "sealed" ? frame.items[0] : undefined;
    const bundle = decode(bundleCodec, first?.body ?? new Uint8Array(0));
    const shut = (): void => {
      encode(bundleCodec, bundle, 220 * vertices + 128);
      encode(frameCodec, frame, frameSizeHint(frame));
    };
    costs[size] = {
      encode: (await measure(count, times(count, shut))).cpuUs,
      decode: (await measure(count, times(count, open))).cpuUs,
    };
    bytes = wire.length - bytes;
  }
  return {
    encodeFixedUs: (costs.small.encode + costs.small.decode) / 2,
    encodePerKiBUs: perKiB(costs.large.encode, costs.small.encode, bytes),
    decodePerKiBUs: perKiB(costs.large.decode, costs.small.decode, bytes),
  };
}

type StorageCosts = Pick<CostTable, "rowUs" | "rowWriteUs" | "fsyncUs" | "fsyncCpuUs" | "writePerKiBUs">;

async function storage(): Promise<StorageCosts> {
  const path = mkdtempSync(join(tmpdir(), "cretoai-calibrate-"));
  const database = await openRocksDatabase({ path, identity: ZERO_HASH, create: "if-missing" });
  const value = Uint8Array.from(randomBytes(65_536));
  const ids = Array.from({ length: ROWS_WRITTEN }, () => hashOf("record", randomBytes(32)));
  let next = 0;
  const fill = (): WriteBatch => {
    const batch = new WriteBatch();
    for (let index = 0; index < BATCH_ROWS; index++) {
      next = (next + 1) % ids.length;
      const key = present(ids[next], "a row's key");
      batch.put("metadata", hashKey(key), encode(metadataCodec, vertexRow(key, index)));
    }
    return batch;
  };
  const write = async (rows: number, valueBytes: number): Promise<void> => {
    const batch = new WriteBatch();
    for (let index = 0; index < rows; index++) {
      batch.put("vertices", randomBytes(42), value.subarray(0, valueBytes));
    }
    await database.write(batch.finish());
  };
  try {
    const packed = await measure(10_000, times(10, fill));
    const one = await measurePaced(() => write(1, 100));
    const warm = await measure(20, () => repeat(20, () => write(1, 100)));
    // New rows all the time, and the mean of all, so that flushes and compactions are in it.
    const before = process.cpuUsage();
    await repeat(ROWS_WRITTEN / BATCH_ROWS, () => database.write(fill().finish()));
    const used = process.cpuUsage(before);
    const rowCpuUs = (used.user + used.system) / ROWS_WRITTEN - warm.cpuUs / BATCH_ROWS;
    const large = await measure(10, () => repeat(10, () => write(8, value.length)));
    return {
      rowUs: packed.cpuUs,
      rowWriteUs: Math.max(0, rowCpuUs - packed.cpuUs),
      // By the clock between two pauses a wait of less than a millisecond cannot be told; this one can.
      fsyncUs: warm.wallUs,
      fsyncCpuUs: one.cpuUs,
      writePerKiBUs: perKiB(large.cpuUs, warm.cpuUs, 8 * value.length),
    };
  } finally {
    await database.close();
    rmSync(path, { recursive: true, force: true });
  }
}

async function repeat(count: number, work: () => Promise<unknown>): Promise<void> {
  for (let index = 0; index < count; index++) await work();
}

function vertexRow(bundle: Hash, index: number): Parameters<typeof metadataCodec.encode>[1] {
  return {
    kind: "vertex",
    creator: 0 as ValidatorIndex,
    firstNonce: 1 as Nonce,
    bundle,
    index,
    position: (index + 1) as Position,
    height: 1,
  };
}

interface Wire {
  readonly transport: QuicTransport;
  /** Resolves when so many frames more have come. */
  arrived(count: number): Promise<void>;
}

async function wireEnd(
  dial: { readonly node: typeof keys; readonly port: number } | null,
  node: typeof keys,
): Promise<Wire> {
  const verifier = createVerifier({ hybrid: true });
  let left = 0;
  let done: () => void = () => undefined;
  const connected = Promise.withResolvers<void>();
  const transport = createQuicTransport({
    nodeId: node.nodeId,
    publicKeys: node.publicKeys,
    sign: (bytes) => node.sign(bytes),
    verify: (publicKeys, bytes, given) => verifier.verify(importPublicKeys(publicKeys), bytes, given),
    hybrid: true,
    genesis: ZERO_HASH,
    listen: { host: "127.0.0.1", port: 0 },
    peers: dial === null ? [] : [{ nodeId: dial.node.nodeId, host: "127.0.0.1", port: dial.port }],
    admit: () => "validator",
    maxPeers: 4,
    clock: systemClock,
    entropy: { bytes: (count) => Uint8Array.from(randomBytes(count)) },
  });
  await transport.start({
    onPeerConnected: () => connected.resolve(),
    onPeerDisconnected: () => undefined,
    onFrame: () => {
      left -= 1;
      if (left === 0) done();
    },
    onRequest: (_from, body) => Promise.resolve(body),
  });
  if (dial !== null) await connected.promise;
  const arrived = (count: number): Promise<void> => {
    left = count;
    return new Promise((resolve) => {
      done = resolve;
    });
  };
  return { transport, arrived };
}

async function wire(): Promise<Pick<CostTable, "wireFixedUs" | "wirePerKiBUs">> {
  const listener = await wireEnd(null, keys);
  const port = listener.transport.address?.port ?? 0;
  const dialer = await wireEnd({ node: keys, port }, generateKeyPair({ hybrid: true }));
  const send = async (frame: Uint8Array): Promise<void> => {
    const arrived = listener.arrived(1);
    dialer.transport.send(keys.nodeId, "consensus", frame);
    await arrived;
  };
  const frames = { small: Uint8Array.from(randomBytes(100)), large: Uint8Array.from(randomBytes(50_000)) };
  const small = await measurePaced(() => send(frames.small));
  const large = await measurePaced(() => send(frames.large));
  await Promise.all([dialer.transport.close(), listener.transport.close()]);
  return { wireFixedUs: small.cpuUs, wirePerKiBUs: perKiB(large.cpuUs, small.cpuUs, 50_000) };
}

async function requests(): Promise<Pick<CostTable, "requestUs" | "requestVertexUs">> {
  const submit = (payloads: readonly Uint8Array[]): ReturnType<NodeService["submit"]> => ({
    accepted: Promise.resolve(payloads.map(() => ZERO_HASH)),
    finalized: Promise.resolve(payloads.map(() => ({ hash: ZERO_HASH, sequence: 1, finalityMs: 1 }))),
  });
  const server = await createApiServer({
    service: { submit } as unknown as NodeService,
    host: "127.0.0.1",
    port: 0,
    cors: { enabled: false, origins: [] },
    log: () => undefined,
    metrics: { onRequest: () => undefined },
  });
  const post = async (batch: number): Promise<void> => {
    const path = batch === 1 ? "/v1/vertices?wait=finalized" : "/v1/vertices/batch?wait=finalized";
    const payloads = Array.from({ length: batch }, () => Uint8Array.from(randomBytes(200)));
    const body = batch === 1 ? present(payloads[0], "a payload") : packPayloads(payloads);
    const response = await fetch(server.url + path, { method: "POST", body: new Uint8Array(body) });
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`the API answers ${response.status}`);
  };
  const single = await measurePaced(() => post(1));
  const batch = await measurePaced(() => post(100));
  await server.close();
  return { requestUs: single.cpuUs, requestVertexUs: Math.max(0, (batch.cpuUs - single.cpuUs) / 99) };
}

const { linkLatencyUs, linkMbitPerS, coresPerNode } = REFERENCE_COSTS;
const table: CostTable = {
  ...(await crypto()),
  ...(await hashing()),
  ...(await codec()),
  ...(await storage()),
  ...(await wire()),
  ...(await requests()),
  linkLatencyUs,
  linkMbitPerS,
  coresPerNode,
};
const rounded = Object.fromEntries(Object.entries(table).map(([name, value]) => [name, Number(value.toPrecision(3))]));
if (process.argv.includes("--json")) {
  console.log(JSON.stringify(rounded, null, 2));
} else {
  const { cpu, cores, kernel, bun } = machine();
  console.log(`${String(cpu)}, ${String(cores)} cores, Linux ${String(kernel)}, Bun ${String(bun)}\n`);
  for (const [name, value] of Object.entries(rounded))
    console.log(`${name.padEnd(20)}${value.toString().padStart(10)}`);
}
process.exit(0);
