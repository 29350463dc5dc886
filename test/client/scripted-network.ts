import type { Server, ServerWebSocket } from "bun";
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ScriptedStore } from "./scripted-store.ts";

/** What a node does with its next request instead of answering it. */
export type Fault =
  | "drop-before"
  /** Does what was asked, and drops the connection. */
  | "drop-after"
  | "hang"
  | {
      readonly status: number;
      readonly problem?: string;
      readonly retryAfter?: string;
      readonly text?: string;
    };

export interface Seen {
  readonly node: number;
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

/** Nodes that answer as the routes are described, of one state, with faults as a test wants them. */
export class ScriptedNetwork {
  readonly store: ScriptedStore = new ScriptedStore();
  readonly seen: Seen[] = [];
  readonly faults: Fault[][];
  urls: readonly string[] = [];
  /** Called with every request before it is answered. */
  onRequest: (seen: Seen) => Promise<void> = async () => undefined;
  readonly #servers: HttpServer[] = [];
  readonly #hanging = new Set<ServerResponse>();

  constructor(nodes: number) {
    this.faults = Array.from({ length: nodes }, () => []);
  }

  async start(): Promise<readonly string[]> {
    this.urls = await Promise.all(
      this.faults.map(async (_, node) => {
        const server = createServer((request, response) => void this.#serve(node, request, response));
        this.#servers.push(server);
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      }),
    );
    return this.urls;
  }

  /** All nodes do this with their next request. */
  everywhere(fault: Fault): void {
    for (const faults of this.faults) faults.push(fault);
  }

  async stop(): Promise<void> {
    for (const response of this.#hanging) response.destroy();
    await Promise.all(
      this.#servers.map((server) => {
        server.closeAllConnections();
        return new Promise((resolve) => server.close(resolve));
      }),
    );
  }

  async #serve(node: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const body = Buffer.concat(chunks);
    const { method = "", url = "" } = request;
    const seen = { node, method, path: url, body: body.toString() };
    this.seen.push(seen);
    await this.onRequest(seen);
    // Faults are for what a test asks, not for whether the node is there.
    const fault = url === "/health" ? undefined : this.faults[node]?.shift();
    if (fault === "hang") return void this.#hanging.add(response);
    if (fault === "drop-before") return void request.socket.destroy();
    if (typeof fault === "object") return answerFault(response, fault);
    const answer = this.store.answer({ method, url: new URL(url, "http://node"), headers: request.headers, body });
    if (fault === "drop-after") return void request.socket.destroy();
    const type = answer.status < 400 ? "application/json" : "application/problem+json";
    response.writeHead(answer.status, { "content-type": type });
    response.end(JSON.stringify(answer.body));
  }
}

function answerFault(response: ServerResponse, { status, problem, retryAfter, text }: Exclude<Fault, string>): void {
  const headers = retryAfter === undefined ? {} : { "retry-after": retryAfter };
  response.writeHead(status, headers);
  const body = { type: `/problems/${problem}`, title: "As the test wants it", status, detail: "scripted" };
  response.end(text ?? JSON.stringify(body));
}

type Socket = ServerWebSocket<undefined>;

/** A node whose stream says what a test wants; each subscription gets the next answer. */
export class ScriptedStream {
  readonly subscriptions: unknown[] = [];
  /** Where the node says that it stands. */
  lastSequence = 0;
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #answers: ((socket: Socket) => void)[] = [];
  readonly #server: Server<undefined>;

  constructor(genesis: string) {
    const status = new ScriptedStore().status(genesis);
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, server) => {
        if (server.upgrade(request, { data: undefined })) return undefined;
        return Response.json({ ...status, lastSequence: this.lastSequence });
      },
      websocket: {
        message: (socket, message) => {
          this.subscriptions.push(JSON.parse(String(message)));
          this.#answers.shift()?.(socket);
        },
        close: () => this.#closed.resolve(),
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  /** Resolves when a connection has ended. */
  async whenClosed(): Promise<void> {
    await this.#closed.promise;
  }

  /** Says this to the next subscription, and ends the connection where that is wanted. */
  next(messages: readonly object[], ends: "stays" | "ends"): void {
    this.#answers.push((socket) => {
      for (const message of messages) socket.send(JSON.stringify(message));
      if (ends === "ends") socket.close();
    });
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }
}
