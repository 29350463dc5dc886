import type { ServerWebSocket } from "bun";
import type { ApplicationService } from "../node/application-service.ts";
import type { Intake, NodeEvent, NodeService } from "../node/service.ts";
import { base64Bytes, parseJson } from "./bodies.ts";
import { CHANGE_TOPICS, type ChangeSink, ChangeStream, type ChangeTopic } from "./change-stream.ts";
import { finalizedBody, proposedBody, rejectedBody, settle, withoutKeys } from "./handlers.ts";
import { BATCH_PAYLOADS_MAX, REPLAY_ITEMS, STREAM_BUFFER_BYTES_MAX, WAIT_MS_MAX } from "./limits.ts";
import { requireBound, requireNamed } from "./kv-routes.ts";
import { ApiProblem, problemBody, problemOf } from "./problem.ts";

const TOPICS = ["finalized", "proposed", "rejected", "validators", "changes", "runs"] as const;
type Topic = (typeof TOPICS)[number];

/** What a stream tells of. */
export interface Streamed {
  readonly service: NodeService;
  readonly intake: Intake;
  /** Null where the network runs none. */
  readonly application: ApplicationService | null;
}

/** What hangs on one WebSocket. */
export interface StreamState extends Streamed {
  unsubscribe: () => void;
  topics: ReadonlySet<Topic>;
  /** The next sequence to send; live events before it were replayed. */
  next: number;
  replaying: boolean;
}

type Socket = ServerWebSocket<StreamState>;

/** RFC 6455 §7.4 and its registry: try again later. */
const TRY_AGAIN_LATER = 1013;

export function newStream(streamed: Streamed): StreamState {
  return { ...streamed, unsubscribe: () => undefined, topics: new Set(), next: 0, replaying: false };
}

/** One message of a client. */
export async function onStreamMessage(socket: Socket, message: string | Uint8Array): Promise<void> {
  let id: unknown = null;
  try {
    const bytes = typeof message === "string" ? new TextEncoder().encode(message) : message;
    const command = parseJson(bytes);
    if (typeof command !== "object" || command === null)
      throw new ApiProblem("malformed", "a message is a JSON object");
    id = Reflect.get(command, "id") ?? null;
    if ("subscribe" in command) await subscribe(socket, command);
    else if ("submit" in command || "submitBatch" in command) await submit(socket, command, id);
    else throw new ApiProblem("malformed", 'a message has "subscribe", "submit" or "submitBatch"');
  } catch (error) {
    send(socket, { type: "error", id, problem: problemBody(problemOf(error), null) });
  }
}

export function onStreamClose(socket: Socket): void {
  socket.data.unsubscribe();
}

async function subscribe(socket: Socket, command: object): Promise<void> {
  const { data } = socket;
  const wanted: unknown = Reflect.get(command, "subscribe");
  if (!Array.isArray(wanted) || !wanted.every((topic) => TOPICS.includes(topic))) {
    throw new ApiProblem("malformed", `subscribe must be a list of ${TOPICS.map((topic) => `"${topic}"`).join(", ")}`);
  }
  const from: unknown = Reflect.get(command, "from") ?? null;
  if (from !== null && !(typeof from === "number" && Number.isSafeInteger(from) && from >= 1)) {
    throw new ApiProblem("malformed", "from must be a whole number from 1 on");
  }
  const topic = (["changes", "runs"] as const).find((each) => wanted.includes(each));
  const changes = topic === undefined ? null : changesOf(socket, command, topic, from);
  data.unsubscribe();
  data.topics = new Set(wanted);
  data.replaying = from !== null && data.topics.has("finalized");
  data.next = data.replaying && from !== null ? from : data.service.status().lastSequence + 1;
  const unsubscribe = data.service.subscribe((event) => onEvent(socket, event));
  data.unsubscribe = () => {
    unsubscribe();
    changes?.stream.close();
  };
  const begin = changes !== null && !data.topics.has("finalized") ? changes.from : data.next;
  send(socket, { type: "subscribed", topics: wanted, from: begin });
  changes?.stream.open();
  if (data.replaying) await replay(socket);
}

/** The changes that a client wants; it is told nothing of them yet. */
function changesOf(
  socket: Socket,
  command: object,
  topic: ChangeTopic,
  wantedFrom: number | null,
): { readonly stream: ChangeStream; readonly from: number } {
  const { application } = socket.data;
  if (application === null) throw new ApiProblem("no-application", "this network runs no replicated application");
  requireNamed(application, CHANGE_TOPICS[topic]);
  if (application.changes === null) throw new ApiProblem("no-application", "this node keeps no changes");
  const prefix: unknown = Reflect.get(command, "prefix") ?? "";
  if (typeof prefix !== "string") throw new ApiProblem("malformed", "prefix must be a text");
  const from = wantedFrom ?? application.standing().position + 1;
  const wanted = { topic, prefix: requireBound(prefix, "prefix"), from };
  return { stream: new ChangeStream(application.changes, wanted, sinkOf(socket)), from };
}

const LOST = new ApiProblem(
  "too-old",
  "changes went by that this node does not know: read the range anew, then subscribe",
);

function sinkOf(socket: Socket): ChangeSink {
  return {
    isOpen: () => socket.readyState === WebSocket.OPEN,
    send: (message) => send(socket, message),
    drained: () => drained(socket),
    sendAway: () => sendAway(socket),
    sayLost: () => send(socket, { type: "error", id: null, problem: problemBody(LOST.problem, null) }),
  };
}

/** Sends what is durable from `next` on; live events take over when nothing older is left. */
async function replay(socket: Socket): Promise<void> {
  const { data } = socket;
  while (data.replaying && socket.readyState === WebSocket.OPEN) {
    const items = await data.service.finalized({ from: data.next, limit: REPLAY_ITEMS });
    if (items.length > 0) {
      data.next += items.length;
      if (!send(socket, { type: "finalized", items: items.map((item) => finalizedBody(data.intake, item)) })) return;
      await drained(socket);
    } else if (data.service.status().lastSequence < data.next) data.replaying = false;
  }
}

function onEvent(socket: Socket, event: NodeEvent): void {
  const { data } = socket;
  if (event.kind === "proposed") {
    if (data.topics.has("proposed"))
      send(socket, { type: "proposed", items: event.items.map((item) => proposedBody(data.intake, item)) });
    return;
  }
  if (event.kind === "rejected") {
    if (data.topics.has("rejected")) send(socket, { type: "rejected", items: event.items.map(rejectedBody) });
    return;
  }
  if (event.kind === "validators") {
    const { changed, afterBatch } = event;
    if (data.topics.has("validators")) send(socket, { type: "validators", changed: { ...changed, afterBatch } });
    return;
  }
  // While replaying, what is announced now is read from disk in its turn.
  if (!data.topics.has("finalized") || data.replaying) return;
  const items = event.items.filter((item) => item.sequence >= data.next);
  const last = items.at(-1);
  if (last === undefined) return;
  data.next = last.sequence + 1;
  send(socket, { type: "finalized", items: items.map((item) => finalizedBody(data.intake, item)) });
}

async function submit(socket: Socket, command: object, id: unknown): Promise<void> {
  const wait: unknown = Reflect.get(command, "wait") ?? "accepted";
  if (wait !== "accepted" && wait !== "finalized") {
    throw new ApiProblem("malformed", 'wait must be "accepted" or "finalized"');
  }
  const batch: unknown =
    "submitBatch" in command ? Reflect.get(command, "submitBatch") : [Reflect.get(command, "submit")];
  if (!Array.isArray(batch)) throw new ApiProblem("malformed", "submitBatch must be a list of texts in base64");
  if (batch.length > BATCH_PAYLOADS_MAX) {
    throw new ApiProblem("batch-too-large", `${batch.length} payloads, at most ${BATCH_PAYLOADS_MAX} in one batch`);
  }
  const payloads = batch.map((payload, index) => base64Bytes(payload, `payload ${index}`));
  const items = await settle(
    socket.data.intake.submit(payloads.map(withoutKeys)),
    wait === "finalized" ? WAIT_MS_MAX : null,
  );
  send(socket, { type: "result", id, items });
}

/** False where the client is too far behind and was sent away. */
function send(socket: Socket, message: unknown): boolean {
  if (socket.readyState !== WebSocket.OPEN) return false;
  if (socket.getBufferedAmount() > STREAM_BUFFER_BYTES_MAX) {
    sendAway(socket);
    return false;
  }
  socket.send(JSON.stringify(message));
  return true;
}

function sendAway(socket: Socket): void {
  socket.data.unsubscribe();
  socket.close(TRY_AGAIN_LATER, "too far behind: reconnect with `from`");
}

/** Lets a replay wait for its client instead of filling the buffer. */
async function drained(socket: Socket): Promise<void> {
  while (socket.readyState === WebSocket.OPEN && socket.getBufferedAmount() > STREAM_BUFFER_BYTES_MAX / 4) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
