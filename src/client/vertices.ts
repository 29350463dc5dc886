import { toBase64 } from "./base64.ts";
import { CretoError } from "./creto-error.ts";
import type { Fields } from "./fields.ts";

/** A text goes as UTF-8. */
export type Bytes = Uint8Array | string;

/** What a node that took a vertex in answers: it is durable there. */
export interface Receipt {
  /** 64 lower-case hexadecimal digits. */
  readonly hash: string;
  /** The address of the node that took it in. */
  readonly node: string;
}

/** A vertex that is final. */
export interface FinalReceipt extends Receipt {
  /** Its place in the order of `finalized`, from 1. In a leaderless network that of the node that answered. */
  readonly sequence: number;
}

export type VertexState = "pending" | "finalized" | "rejected";

export interface Vertex {
  readonly hash: string;
  readonly creator: string;
  readonly nonce: number;
  /** Milliseconds since 1970. */
  readonly timestampMs: number;
  readonly parents: readonly string[];
  readonly payload: Uint8Array;
  readonly conflictKeys: readonly Uint8Array[];
  readonly state: VertexState;
  /** In a leaderless network, 0 to 1; null where none is known. */
  readonly confidence: number | null;
  /** Null unless it is final. */
  readonly sequence: number | null;
  readonly height: number | null;
}

export interface FinalizedVertex {
  readonly sequence: number;
  /** `application`, `membership`, `resolution` or `dag`: a client's payload is one of the first and the last. */
  readonly purpose: string;
  readonly hash: string;
  readonly creator: string;
  readonly payload: Uint8Array;
  readonly conflictKeys: readonly Uint8Array[];
  /** Milliseconds since 1970; monotone along the order. */
  readonly timestampMs: number;
}

/** Where a node stands. */
export interface NodeStatus {
  readonly nodeId: string;
  readonly engine: string;
  /** The network's: equal at all of its nodes. */
  readonly genesis: string;
  readonly role: "validator" | "observer";
  /** The last vertex's place in the order; 0 before the first. */
  readonly lastSequence: number;
  readonly pending: number;
  readonly peers: number;
  readonly validators: number;
  readonly quorum: number;
  readonly epoch: number;
  readonly uptimeMs: number;
  /** No leader orders: every node has an order of acceptance of its own. */
  readonly isLeaderless: boolean;
  /** The address that this client knows it by. */
  readonly node: string;
  /** The other members of the node's answer, as they came. */
  readonly more: Readonly<Record<string, unknown>>;
}

const STATUS_MEMBERS = [
  "nodeId",
  "engine",
  "genesis",
  "role",
  "lastSequence",
  "pending",
  "peers",
  "validators",
  "quorum",
  "epoch",
  "uptimeMs",
] as const;

export function bytesOf(bytes: Bytes): Uint8Array {
  return typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
}

export function base64Of(bytes: Bytes): string {
  return toBase64(bytesOf(bytes));
}

/** @throws CretoError `invalid-argument` */
export function checkedHash(hash: string): string {
  if (/^[0-9a-f]{64}$/.test(hash)) return hash;
  throw new CretoError("invalid-argument", `a hash is 64 lower-case hexadecimal digits, not ${JSON.stringify(hash)}`);
}

export function vertexOf(fields: Fields): Vertex {
  return {
    hash: fields.text("hash"),
    creator: fields.text("creator"),
    nonce: fields.count("nonce"),
    timestampMs: fields.number("timestamp"),
    parents: fields.texts("parents"),
    ...contentOf(fields),
    state: fields.word("state", ["pending", "finalized", "rejected"]),
    confidence: fields.maybe("confidence", fields.number),
    sequence: fields.maybe("sequence", fields.count),
    height: fields.maybe("height", fields.count),
  };
}

export function finalizedOf(fields: Fields): FinalizedVertex {
  return {
    sequence: fields.count("sequence"),
    purpose: fields.text("purpose"),
    hash: fields.text("hash"),
    creator: fields.text("creator"),
    ...contentOf(fields),
    timestampMs: fields.number("timestamp"),
  };
}

export function statusOf(fields: Fields, node: string): NodeStatus {
  return {
    nodeId: fields.text("nodeId"),
    engine: fields.text("engine"),
    genesis: fields.text("genesis"),
    role: fields.word("role", ["validator", "observer"]),
    lastSequence: fields.count("lastSequence"),
    pending: fields.count("pending"),
    peers: fields.count("peers"),
    validators: fields.count("validators"),
    quorum: fields.count("quorum"),
    epoch: fields.count("epoch"),
    uptimeMs: fields.number("uptimeMs"),
    isLeaderless: fields.has("dag"),
    node,
    more: fields.without(STATUS_MEMBERS),
  };
}

/** A payload, and what its vertex claims for itself alone; of streams too. */
export function contentOf(fields: Fields): Pick<Vertex, "payload" | "conflictKeys"> {
  const conflictKeys = fields.has("conflictKeys") ? fields.bytesList("conflictKeys") : [];
  return { payload: fields.bytes("payload"), conflictKeys };
}
