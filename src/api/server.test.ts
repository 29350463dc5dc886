import { afterEach, describe, expect, test } from "bun:test";
import type { NodeId } from "../crypto/identity.ts";
import type { Hash } from "../lib/hash.ts";
import {
  type FinalizedItem,
  NodeError,
  type NodeErrorCode,
  type NodeEvent,
  type NodeService,
  type NodeStatus,
  type Submission,
} from "../node/service.ts";
import { packPayloads } from "../cli/submit.ts";
import { type ApiServer, createApiServer } from "./server.ts";

const CREATOR = "ab".repeat(32) as NodeId;
const hashOf = (sequence: number): Hash => sequence.toString(16).padStart(64, "0") as Hash;

const FINAL = { finalized: true, state: "finalized", confidence: null } as const;

/** A node whose order is a list: what is submitted is final at once, unless it is told otherwise. */
class FakeNode implements NodeService {
  readonly items: FinalizedItem[] = [];
  readonly listeners = new Set<(event: NodeEvent) => void>();
  refusal: NodeError | null = null;
  holdsBack = false;
  ready = true;

  submit(payloads: readonly Uint8Array[]): Submission {
    if (this.refusal !== null) {
      const rejected = Promise.reject(this.refusal);
      rejected.catch(() => undefined);
      return { accepted: rejected, finalized: rejected };
    }
    const first = this.items.length + 1;
    const hashes = payloads.map((_, index) => hashOf(first + index));
    if (this.holdsBack) return { accepted: Promise.resolve(hashes), finalized: new Promise(() => undefined) };
    this.finalize(payloads);
    const receipts = hashes.map((hash, index) => ({ hash, sequence: first + index, finalityMs: 12.345 }));
    return { accepted: Promise.resolve(hashes), finalized: Promise.resolve(receipts) };
  }

  finalize(payloads: readonly Uint8Array[]): void {
    const added = payloads.map((payload, index) => {
      const sequence = this.items.length + 1 + index;
      return {
        sequence,
        purpose: "application" as const,
        hash: hashOf(sequence),
        creator: CREATOR,
        payload,
        timestampMs: 1_000 + sequence,
      };
    });
    this.items.push(...added);
    for (const listener of this.listeners) listener({ kind: "finalized", items: added });
  }

  whenFinalized(): Promise<null> {
    return Promise.resolve(null);
  }

  vertex(hash: Hash): Promise<Awaited<ReturnType<NodeService["vertex"]>>> {
    const item = this.items.find((candidate) => candidate.hash === hash);
    if (item === undefined) return Promise.resolve(null);
    return Promise.resolve({ ...item, nonce: item.sequence, parents: [hashOf(0)], height: 1, ...FINAL });
  }

  async finalized({ from, limit }: { from: number; limit: number }): Promise<readonly FinalizedItem[]> {
    // Live events may come in between, as they do at a real node.
    await Promise.resolve();
    return this.items.slice(from - 1, from - 1 + limit);
  }

  status(): NodeStatus {
    return {
      nodeId: CREATOR,
      engine: "pbft",
      alpn: "cretoai/1",
      genesis: hashOf(0),
      role: "validator",
      view: 0,
      viewActive: true,
      leader: CREATOR,
      epoch: 0,
      validators: 4,
      faultTolerance: 1,
      quorum: 3,
      lastSequence: this.items.length,
      lastBatch: 1,
      stableCheckpoint: 0,
      pending: 0,
      peers: 3,
      uptimeMs: 1,
      dag: null,
    };
  }

  readiness(): { ready: boolean; reasons: readonly string[] } {
    return this.ready ? { ready: true, reasons: [] } : { ready: false, reasons: ["2 of 4 validators are connected"] };
  }

  peers(): readonly [] {
    return [];
  }

  validators(): readonly [] {
    return [];
  }

  membership(): never {
    throw new Error("not asked for here");
  }

  propose(): never {
    throw new Error("not asked for here");
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

const open: ApiServer[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

async function serve(cors: { enabled: boolean; origins: readonly string[] } = { enabled: false, origins: [] }) {
  const node = new FakeNode();
  const api = await createApiServer({
    service: node,
    host: "127.0.0.1",
    port: 0,
    cors,
    log: () => undefined,
    metrics: { onRequest: () => undefined },
  });
  open.push(api);
  const call = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(api.url + path, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text.startsWith("{") ? JSON.parse(text) : text };
  };
  const post = (path: string, body: string | Uint8Array<ArrayBuffer>, type = "application/octet-stream") =>
    call(path, { method: "POST", body, headers: { "content-type": type } });
  return { node, api, call, post };
}

describe("submitting over HTTP", () => {
  test("raw bytes: 202 when durable, 200 with the place when final", async () => {
    const { post, node } = await serve();
    expect(await post("/v1/vertices", "hello")).toMatchObject({
      status: 202,
      body: { hash: hashOf(1), sequence: null, finalized: false, finalityMs: null },
    });
    expect(await post("/v1/vertices?wait=finalized", "again")).toMatchObject({
      status: 200,
      body: { hash: hashOf(2), sequence: 2, finalized: true, finalityMs: 12.35 },
    });
    expect(new TextDecoder().decode(node.items[0]?.payload)).toBe("hello");
  });

  test("JSON with base64, alone and in batches, and the binary batch", async () => {
    const { post, node } = await serve();
    expect((await post("/v1/vertices", '{"payload":"aGk="}', "application/json")).status).toBe(202);
    const batch = await post("/v1/vertices/batch?wait=finalized", '{"payloads":["YQ==","Yg=="]}', "application/json");
    expect(batch.body.items.map(({ sequence }: { sequence: number }) => sequence)).toEqual([2, 3]);
    const packed = packPayloads([Uint8Array.of(1, 2), Uint8Array.of(3)]);
    expect((await post("/v1/vertices/batch", packed)).body.items).toHaveLength(2);
    expect(node.items.map(({ payload }) => payload.length)).toEqual([2, 1, 1, 2, 1]);
  });

  test.each([
    ["JSON that is none", "/v1/vertices", "{", "application/json", 400, "malformed"],
    ["base64 with a stray character", "/v1/vertices", '{"payload":"a*=="}', "application/json", 400, "malformed"],
    ["base64 without its padding", "/v1/vertices", '{"payload":"YQ"}', "application/json", 400, "malformed"],
    ["an object without payload", "/v1/vertices", "{}", "application/json", 400, "malformed"],
    ["an unknown wait", "/v1/vertices?wait=soon", "x", "text/plain", 400, "malformed"],
    ["a time-out of words", "/v1/vertices?wait=finalized&timeoutMs=long", "x", "text/plain", 400, "malformed"],
    ["a batch of text", "/v1/vertices/batch", "x", "text/plain", 415, "unsupported-media-type"],
    [
      "a binary batch that is cut",
      "/v1/vertices/batch",
      "\u0005\0\0\0ab",
      "application/octet-stream",
      400,
      "malformed",
    ],
    [
      "a length that lies",
      "/v1/vertices/batch",
      "\u007f\u007f\u007f\u007f",
      "application/octet-stream",
      400,
      "malformed",
    ],
  ])("refuses %s", async (_name, path, body, type, status, kind) => {
    const { post, node } = await serve();
    const answer = await post(path, body, type);
    expect(answer).toMatchObject({ status, body: { type: `/problems/${kind}`, status, instance: path.split("?")[0] } });
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(node.items).toEqual([]);
  });

  test.each([
    ["overloaded", 429, 500, "1"],
    ["not-ready", 503, 1_000, "1"],
    ["payload-too-large", 413, null, null],
    ["payload-empty", 400, null, null],
    ["observer", 503, null, null],
    ["stopping", 503, null, null],
    ["storage-failed", 503, null, null],
  ] as const)("says %s as %d", async (code, status, retryAfterMs, retryAfter) => {
    const { post, node } = await serve();
    node.refusal = new NodeError(code as NodeErrorCode, "because", retryAfterMs === null ? {} : { retryAfterMs });
    const answer = await post("/v1/vertices", "x");
    expect(answer).toMatchObject({ status, body: { type: `/problems/${code}`, detail: "because" } });
    expect(answer.headers.get("retry-after")).toBe(retryAfter);
  });

  test("a wait that runs out is 504 and says the hash: the vertex stays accepted", async () => {
    const { post, node } = await serve();
    node.holdsBack = true;
    const answer = await post("/v1/vertices?wait=finalized&timeoutMs=50", "x");
    expect(answer).toMatchObject({ status: 504, body: { type: "/problems/timeout", hash: hashOf(1) } });
  });

  test("a body above the limit is 413 and never reaches the node", async () => {
    const { post, node } = await serve();
    expect((await post("/v1/vertices", new Uint8Array(8 * 1024 * 1024 + 1))).status).toBe(413);
    expect(node.items).toEqual([]);
  });

  test("what fails inside says nothing about the inside", async () => {
    const { node, call } = await serve();
    node.finalized = () => Promise.reject(new Error("a path on this machine"));
    const answer = await call("/v1/finalized");
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.body)).not.toContain("path on this machine");
  });
});

describe("reading over HTTP", () => {
  test("the total order in pages, from inclusive", async () => {
    const { node, call } = await serve();
    node.finalize([1, 2, 3, 4, 5].map((byte) => Uint8Array.of(byte)));
    const page = await call("/v1/finalized?from=2&limit=2");
    expect(page.body).toEqual({
      items: [2, 3].map((sequence) => ({
        sequence,
        purpose: "application",
        hash: hashOf(sequence),
        creator: CREATOR,
        payload: Uint8Array.of(sequence).toBase64(),
        timestamp: 1_000 + sequence,
      })),
      next: 4,
    });
    expect((await call("/v1/finalized?from=99")).body).toEqual({ items: [], next: 99 });
    for (const query of ["from=0", "from=-1", "limit=0", "limit=1001", "from=x"]) {
      expect((await call(`/v1/finalized?${query}`)).status).toBe(400);
    }
  });

  test("one vertex by its hash; 404 and 400 where there is none", async () => {
    const { node, call } = await serve();
    node.finalize([Uint8Array.of(7)]);
    expect((await call(`/v1/vertices/${hashOf(1)}`)).body).toMatchObject({
      sequence: 1,
      payload: "Bw==",
      finalized: true,
    });
    expect(await call(`/v1/vertices/${hashOf(9)}`)).toMatchObject({
      status: 404,
      body: { type: "/problems/unknown-vertex" },
    });
    expect((await call("/v1/vertices/xyz")).status).toBe(400);
  });

  test("status, peers, validators, health, readiness", async () => {
    const { node, call } = await serve();
    expect((await call("/v1/status")).body).toMatchObject({
      engine: "pbft",
      quorum: 3,
      leader: CREATOR,
      alpn: "cretoai/1",
    });
    expect((await call("/v1/peers")).body).toEqual({ items: [] });
    expect((await call("/v1/validators")).body).toEqual({ items: [] });
    expect((await call("/health")).status).toBe(200);
    expect((await call("/ready")).status).toBe(200);
    node.ready = false;
    expect(await call("/ready")).toMatchObject({ status: 503, body: { reasons: ["2 of 4 validators are connected"] } });
    expect((await call("/health")).status).toBe(200);
  });

  test("unknown paths are 404, wrong methods 405", async () => {
    const { call } = await serve();
    expect(await call("/nothing")).toMatchObject({ status: 404, body: { type: "/problems/not-found" } });
    expect((await call("/v1/status", { method: "POST" })).status).toBe(405);
    expect((await call("/v1/vertices")).status).toBe(405);
    expect((await call("/v1/stream")).status).toBe(405);
  });

  test("the OpenAPI document names every route, and the page needs no other host", async () => {
    const { call } = await serve();
    const { body } = await call("/openapi.json");
    expect(body.openapi).toStartWith("3.1");
    for (const path of [
      "/v1/vertices",
      "/v1/vertices/batch",
      "/v1/vertices/{hash}",
      "/v1/finalized",
      "/v1/status",
      "/v1/stream",
      "/ready",
    ]) {
      expect(Object.keys(body.paths)).toContain(path);
    }
    const page = (await call("/docs")).body;
    expect(page).not.toMatch(/https?:\/\//);
    for (const match of page.matchAll(/(?:src|href)="([^"]+)"/g)) expect((await call(match[1])).status).toBe(200);
  });

  test("other origins get nothing unless they are named", async () => {
    const closed = await serve();
    const from = (origin: string) => ({ headers: { origin } });
    expect(
      (await closed.call("/v1/status", from("https://a.example"))).headers.get("access-control-allow-origin"),
    ).toBeNull();
    const { call } = await serve({ enabled: true, origins: ["https://a.example"] });
    expect((await call("/v1/status", from("https://a.example"))).headers.get("access-control-allow-origin")).toBe(
      "https://a.example",
    );
    expect((await call("/v1/status", from("https://b.example"))).headers.get("access-control-allow-origin")).toBeNull();
  });
});

/** A client whose messages can be awaited one by one. */
async function stream(api: ApiServer) {
  const socket = new WebSocket(`${api.url.replace("http", "ws")}/v1/stream`);
  const queue: Record<string, unknown>[] = [];
  let wake: () => void = () => undefined;
  socket.onmessage = ({ data }) => {
    queue.push(JSON.parse(String(data)));
    wake();
  };
  await new Promise((resolve) => {
    socket.onopen = resolve;
  });
  const next = async (): Promise<Record<string, unknown>> => {
    for (let message = queue.shift(); ; message = queue.shift()) {
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { next, send: (message: unknown) => socket.send(JSON.stringify(message)), close: () => socket.close() };
}

describe("the stream", () => {
  test("replays from a sequence and goes on live, without gap or repetition", async () => {
    const { node, api } = await serve();
    node.finalize(Array.from({ length: 1_200 }, (_, index) => Uint8Array.of(index & 255)));
    const { next, send, close } = await stream(api);
    send({ subscribe: ["finalized"], from: 5 });
    const sequences: number[] = [];
    let live = 0;
    while (sequences.length < 1_296) {
      const message = await next();
      if (message["type"] === "finalized") {
        for (const { sequence } of message["items"] as { sequence: number }[]) sequences.push(sequence);
      }
      if (live < 100) {
        live += 10;
        node.finalize(Array.from({ length: 10 }, () => Uint8Array.of(1)));
      }
    }
    expect(sequences).toEqual(Array.from({ length: 1_296 }, (_, index) => index + 5));
    close();
  });

  test("takes submissions and answers with their id", async () => {
    const { api } = await serve();
    const { next, send, close } = await stream(api);
    send({ submit: "aGk=", id: 7, wait: "finalized" });
    expect(await next()).toMatchObject({ type: "result", id: 7, items: [{ sequence: 1, finalized: true }] });
    send({ submitBatch: ["YQ==", "Yg=="], id: "b" });
    expect(await next()).toMatchObject({
      type: "result",
      id: "b",
      items: [{ finalized: false }, { finalized: false }],
    });
    close();
  });

  test.each([
    [{ submit: "*", id: 1 }, "malformed"],
    [{ subscribe: ["everything"], id: 2 }, "malformed"],
    [{ subscribe: ["finalized"], from: 0, id: 3 }, "malformed"],
    [{ nothing: true, id: 4 }, "malformed"],
  ])("answers %p with a problem, and stays open", async (message, kind) => {
    const { api } = await serve();
    const { next, send, close } = await stream(api);
    send(message);
    expect(await next()).toMatchObject({ type: "error", id: message.id, problem: { type: `/problems/${kind}` } });
    send({ submit: "aGk=", id: 9 });
    expect(await next()).toMatchObject({ type: "result", id: 9 });
    close();
  });

  test("lets go of a node's events when the client leaves", async () => {
    const { node, api } = await serve();
    const { next, send, close } = await stream(api);
    send({ subscribe: ["finalized", "proposed"] });
    await next();
    expect(node.listeners.size).toBe(1);
    close();
    while (node.listeners.size > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(node.listeners.size).toBe(0);
  });
});
