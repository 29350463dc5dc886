import { afterEach, describe, expect, test } from "bun:test";
import type { NodeId } from "../crypto/identity.ts";
import type { NodeService, PeerControl, PeerReport } from "../node/service.ts";
import { type ApiServer, createApiServer } from "./server.ts";

const SELF = "aa".repeat(32) as NodeId;
const CONNECTED = "bb".repeat(32) as NodeId;
const AWAY = "cc".repeat(32) as NodeId;

const servers: ApiServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** Keeps bans in a map, and says what it was asked. */
class FakeControl implements PeerControl {
  readonly bans = new Map<NodeId, { readonly lengthMs: number | null; readonly reason: string }>();

  reports(also: readonly NodeId[]): readonly PeerReport[] {
    return [...new Set([...also, ...this.bans.keys()])].sort().map((peer) => this.report(peer));
  }

  report(peer: NodeId): PeerReport {
    const ban = this.bans.get(peer);
    return {
      nodeId: peer,
      score: ban === undefined ? 0.8 : 0.1,
      state: ban === undefined ? "good" : "banned",
      violations: { malformed: 1 },
      ban:
        ban === undefined
          ? null
          : {
              sinceMs: 1_000,
              untilMs: ban.lengthMs === null ? null : 1_000 + ban.lengthMs,
              reason: ban.reason,
              by: "operator",
            },
    };
  }

  ban(peer: NodeId, ban: { readonly lengthMs: number | null; readonly reason: string }): Promise<PeerReport> {
    this.bans.set(peer, ban);
    return Promise.resolve(this.report(peer));
  }

  unban(peer: NodeId): Promise<PeerReport> {
    this.bans.delete(peer);
    return Promise.resolve(this.report(peer));
  }
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function serve(control: PeerControl | null = new FakeControl()): Promise<{
  call(path: string, init?: RequestInit): Promise<Answer>;
  post(path: string, body?: unknown): Promise<Answer>;
}> {
  const peer = {
    nodeId: CONNECTED,
    role: "validator",
    address: "127.0.0.1:1",
    direction: "inbound",
    connectedSinceMs: 5,
    roundTripMs: null,
    bytesSent: 1,
    bytesReceived: 2,
    queuedBytes: 0,
  };
  const service = { status: () => ({ nodeId: SELF }), peers: () => [peer] } as unknown as NodeService;
  const server = await createApiServer({
    service,
    ...(control === null ? {} : { peerControl: control }),
    host: "127.0.0.1",
    port: 0,
    cors: { enabled: false, origins: [] },
    log: () => undefined,
    metrics: { onRequest: () => undefined },
  });
  servers.push(server);
  const call = async (path: string, init: RequestInit = {}): Promise<Answer> => {
    const response = await fetch(`${server.url}${path}`, init);
    return { status: response.status, body: (await response.json()) as Readonly<Record<string, unknown>> };
  };
  const post = (path: string, body?: unknown): Promise<Answer> =>
    call(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return { call, post };
}

describe("peers over the API", () => {
  test("are listed with score, state and violations; a banned one that is away too", async () => {
    const { call, post } = await serve();
    await post(`/v1/peers/${AWAY}/ban`, { seconds: 60, reason: "maintenance" });
    const { items } = (await call("/v1/peers")).body as { items: readonly unknown[] };
    expect(items).toEqual([
      expect.objectContaining({
        nodeId: CONNECTED,
        connected: true,
        address: "127.0.0.1:1",
        score: 0.8,
        state: "good",
        violations: { malformed: 1 },
        bannedUntil: null,
        ban: null,
      }),
      expect.objectContaining({ nodeId: AWAY, connected: false, address: null, state: "banned", bannedUntil: 61_000 }),
    ]);
  });

  test("are banned, for a time or until further notice, and unbanned", async () => {
    const control = new FakeControl();
    const { post } = await serve(control);
    expect(await post(`/v1/peers/${CONNECTED}/ban`)).toMatchObject({
      status: 200,
      body: { state: "banned", bannedUntil: null },
    });
    expect(control.bans.get(CONNECTED)).toEqual({ lengthMs: null, reason: "by the operator" });
    await post(`/v1/peers/${CONNECTED}/ban`, { seconds: 5, reason: "noise" });
    expect(control.bans.get(CONNECTED)).toEqual({ lengthMs: 5_000, reason: "noise" });
    expect(await post(`/v1/peers/${CONNECTED}/unban`)).toMatchObject({
      status: 200,
      body: { state: "good", ban: null },
    });
  });

  test("are left alone by a request that says it wrong, and the answer says how it is right", async () => {
    const control = new FakeControl();
    const { call, post } = await serve(control);
    const wrong = [
      { seconds: 0 },
      { seconds: 1.5 },
      { seconds: "60" },
      { seconds: 31_536_001 },
      { reason: 5 },
      { reason: "x".repeat(201) },
      { reason: "\u001b[31mred" },
      { minutes: 5 },
      [],
      "ban",
    ];
    for (const body of wrong) {
      expect(await post(`/v1/peers/${CONNECTED}/ban`, body)).toMatchObject({
        status: 400,
        body: { type: "/problems/malformed" },
      });
    }
    expect((await post("/v1/peers/xyz/ban")).status).toBe(400);
    expect((await post(`/v1/peers/${SELF}/ban`)).body["detail"]).toContain("cannot ban itself");
    expect((await post(`/v1/peers/${CONNECTED}/praise`)).status).toBe(404);
    expect((await call(`/v1/peers/${CONNECTED}/ban`)).status).toBe(405);
    expect(control.bans.size).toBe(0);
  });

  test("are out of reach for a form of a web page: only JSON bans", async () => {
    const control = new FakeControl();
    const { call } = await serve(control);
    for (const path of ["ban", "unban"]) {
      const plain = { method: "POST", headers: { "content-type": "text/plain" }, body: "{}" };
      expect((await call(`/v1/peers/${CONNECTED}/${path}`, plain)).status).toBe(415);
      expect((await call(`/v1/peers/${CONNECTED}/${path}`, { method: "POST" })).status).toBe(415);
    }
    expect(control.bans.size).toBe(0);
  });

  test("have no score where nobody keeps one", async () => {
    const { call, post } = await serve(null);
    expect((await call("/v1/peers")).body).toMatchObject({ items: [{ nodeId: CONNECTED, connected: true }] });
    expect((await post(`/v1/peers/${CONNECTED}/ban`)).status).toBe(404);
  });
});
