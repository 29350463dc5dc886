import { afterEach, describe, expect, test } from "bun:test";
import { keyPairFromSeeds } from "../crypto/key-pair.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Epoch } from "../membership/ids.ts";
import {
  type MembershipView,
  NodeError,
  type NodeEvent,
  type NodeService,
  type ProposedChange,
} from "../node/service.ts";
import { type ApiServer, createApiServer } from "./server.ts";

const KEYS = keyPairFromSeeds({ mlDsaSeed: new Uint8Array(32).fill(1), ed25519Seed: new Uint8Array(32).fill(2) });
const OTHER = "cd".repeat(32) as NodeId;

const VIEW: MembershipView = {
  epoch: 2,
  afterBatch: 17,
  policy: { min: 3, max: 9 },
  active: 4,
  faultTolerance: 1,
  quorum: 3,
  members: [],
  pending: [],
};

const servers: ApiServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A node that keeps what it is asked to propose. */
async function serve(refusal: NodeError | null = null): Promise<{
  readonly asked: readonly ProposedChange[];
  readonly api: ApiServer;
  readonly emit: (event: NodeEvent) => void;
  post(path: string, body: unknown, type?: string): Promise<Answer>;
}> {
  const asked: ProposedChange[] = [];
  const listeners = new Set<(event: NodeEvent) => void>();
  const service: Partial<NodeService> = {
    membership: () => VIEW,
    status: () => ({ lastSequence: 0 }) as ReturnType<NodeService["status"]>,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    propose: (change) => {
      asked.push(change);
      if (refusal !== null) return Promise.reject(refusal);
      return Promise.resolve({ kind: change.kind, result: "noted", reason: "1 of 3 approvals", batch: 5, epoch: 2 });
    },
  };
  const api = await createApiServer({
    service: service as NodeService,
    host: "127.0.0.1",
    port: 0,
    cors: { enabled: false, origins: [] },
    log: () => undefined,
    metrics: { onRequest: () => undefined },
  });
  servers.push(api);
  return {
    asked,
    api,
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
    post: async (path, body, type = "application/json") => {
      const init = { method: "POST", body: JSON.stringify(body), headers: { "content-type": type } };
      const response = await fetch(api.url + path, init);
      return { status: response.status, body: (await response.json()) as Answer["body"] };
    },
  };
}

const CANDIDATE = {
  name: "node-5",
  address: "127.0.0.1:9040",
  mlDsa87: KEYS.publicKeys.mlDsa.toBase64(),
  ed25519: KEYS.publicKeys.ed25519?.toBase64() ?? null,
};

describe("the validator set over the API", () => {
  test("is told as the order has it", async () => {
    const { api } = await serve();
    const response = await fetch(`${api.url}/v1/membership`);
    expect(await response.json()).toEqual({ ...VIEW });
  });

  test("takes a candidate by its public keys, which make its id", async () => {
    const { asked, post } = await serve();
    expect(await post("/v1/validators/admit", CANDIDATE)).toEqual({
      status: 200,
      body: { kind: "admit", result: "noted", reason: "1 of 3 approvals", batch: 5, epoch: 2 },
    });
    const { nodeId, publicKeys } = KEYS;
    const { name, address } = CANDIDATE;
    expect(asked).toEqual([{ kind: "admit", candidate: { nodeId, publicKeys, name, address } }]);
  });

  test("takes dismissals and leaves, and whether they may wait for a successor", async () => {
    const { asked, post } = await serve();
    expect((await post("/v1/validators/dismiss", { nodeId: OTHER })).status).toBe(200);
    expect((await post("/v1/validators/leave", { waitForSuccessor: true })).status).toBe(200);
    expect(asked).toEqual([
      { kind: "dismiss", nodeId: OTHER, waitForSuccessor: false },
      { kind: "leave", waitForSuccessor: true },
    ]);
  });

  test.each([
    ["/v1/validators/admit", "malformed-candidate", "which make", { ...CANDIDATE, nodeId: OTHER }],
    ["/v1/validators/admit", "malformed", "mlDsa87", { ...CANDIDATE, mlDsa87: "*" }],
    ["/v1/validators/admit", "malformed", "name", { ...CANDIDATE, name: 7 }],
    ["/v1/validators/admit", "malformed", "name", { ...CANDIDATE, name: "\ud800" }],
    ["/v1/validators/admit", "malformed", '"adress"', { ...CANDIDATE, adress: "x" }],
    ["/v1/validators/dismiss", "malformed", "nodeId", {}],
    ["/v1/validators/dismiss", "malformed", "64", { nodeId: "node-1" }],
    ["/v1/validators/leave", "malformed", "true or false", { waitForSuccessor: "yes" }],
    ["/v1/validators/leave", "malformed", "object", []],
  ] as const)("refuses at %s what is %s, and says where: %s", async (path, kind, word, body) => {
    const { asked, post } = await serve();
    const answer = await post(path, body);
    expect(answer).toMatchObject({ status: 400, body: { type: `/problems/${kind}` } });
    expect(answer.body["detail"]).toContain(word);
    expect(asked).toEqual([]);
  });

  test.each(["admit", "dismiss", "leave"])(
    "is out of reach for a form of a web page: %s takes JSON only",
    async (what) => {
      const { asked, post } = await serve();
      expect((await post(`/v1/validators/${what}`, {}, "text/plain")).status).toBe(415);
      expect(asked).toEqual([]);
    },
  );

  test.each([
    ["at-minimum", 409],
    ["not-applicable", 409],
    ["unknown-validator", 404],
    ["malformed-candidate", 400],
    ["observer", 503],
    ["timeout", 504],
  ] as const)("says why the node refuses: %s is %d", async (code, status) => {
    const { post } = await serve(new NodeError(code, "because"));
    const answer = await post("/v1/validators/leave", {});
    expect(answer).toMatchObject({ status, body: { type: `/problems/${code}`, detail: "because" } });
  });

  test("is streamed as it changes, to who subscribes to it", async () => {
    const { api, emit } = await serve();
    const socket = new WebSocket(`${api.url.replace("http", "ws")}/v1/stream`);
    const subscribed = Promise.withResolvers<void>();
    const told = Promise.withResolvers<unknown>();
    socket.onopen = () => socket.send(JSON.stringify({ subscribe: ["validators"] }));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(String(data)) as { type: string };
      if (message.type === "subscribed") subscribed.resolve();
      else told.resolve(message);
    };
    await subscribed.promise;
    const changed = { epoch: 3 as Epoch, added: [OTHER], removed: [], size: 5, quorum: 4 };
    emit({ kind: "validators", changed, afterBatch: 21 });
    expect(await told.promise).toEqual({ type: "validators", changed: { ...changed, afterBatch: 21 } });
    socket.close();
  });
});
