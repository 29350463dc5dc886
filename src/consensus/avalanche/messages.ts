import { decode, encode } from "../../codec/codec.ts";
import type { Codec } from "../../codec/codec.ts";
import { struct, vec } from "../../codec/composites.ts";
import { hash, u16, u64, u8 } from "../../codec/primitives.ts";
import { hashOf } from "../../crypto/hash.ts";
import { BUNDLE_VERTICES_MAX } from "../../dag/limits.ts";
import { type Votes, votesCodec, votesStatement } from "../../dag/votes.ts";
import { unreachable } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { validatorIndexCodec } from "../../membership/seal.ts";
import type { Statement } from "../../membership/statement.ts";
import { DISSENTS_MAX, QUERIED_LANES_MAX, WAYPOINTS_MAX } from "./limits.ts";

/** What validators of a leaderless network say to each other; bundles travel on their own lane. */
export type AvalancheMessage = Query | Answer | Votes;

/**
 * One poll about everything that is open (document 2, 4.1.2; Avalanche's QUERY, arXiv 1906.08936, fig. 4). A lane is a chain
 * of bundles, the newest first: who prefers one of them, with all its ancestry, prefers what is behind it as well.
 */
export interface Query {
  readonly kind: "query";
  /** Counts its sender's polls in an epoch. */
  readonly poll: number;
  readonly lanes: readonly (readonly Hash[])[];
}

/** What its sender preferred at that moment. Binds nobody. */
export interface Answer {
  readonly kind: "answer";
  readonly to: ValidatorIndex;
  readonly poll: number;
  /** For each lane of the query: the first bundle that is preferred with its ancestry; the lane's length for none. */
  readonly heads: readonly number[];
  /** Vertices of the bundles at and behind these heads that are not preferred. */
  readonly dissents: readonly Dissent[];
}

export interface Dissent {
  readonly bundle: Hash;
  /** Ascending. */
  readonly vertices: readonly number[];
}

/** The first byte of a message; the ordered engine beside this one counts its own from 0. */
const TAGS = { query: 64, answer: 65, votes: 66 } as const;

const queryCodec: Codec<Omit<Query, "kind">> = struct<Omit<Query, "kind">>({
  poll: u64,
  lanes: vec(vec(hash, WAYPOINTS_MAX), QUERIED_LANES_MAX),
});

const answerCodec: Codec<Omit<Answer, "kind">> = struct<Omit<Answer, "kind">>({
  to: validatorIndexCodec,
  poll: u64,
  heads: vec(u8, QUERIED_LANES_MAX),
  dissents: vec(struct<Dissent>({ bundle: hash, vertices: vec(u16, BUNDLE_VERTICES_MAX) }), DISSENTS_MAX),
});

/** Whether these bytes are of a leaderless engine's message, and not of the ordered one's. */
export function isAvalancheBytes(bytes: Uint8Array): boolean {
  return (bytes[0] ?? 0) >= TAGS.query;
}

export function isAvalancheMessage(message: unknown): message is AvalancheMessage {
  const kind = (message as { readonly kind?: unknown }).kind;
  return kind === "query" || kind === "answer" || kind === "votes";
}

export function encodeMessage(message: AvalancheMessage): Uint8Array {
  const body = encodeBody(message);
  const bytes = new Uint8Array(body.length + 1);
  bytes[0] = TAGS[message.kind];
  bytes.set(body, 1);
  return bytes;
}

/** @throws DecodeError */
export function decodeMessage(bytes: Uint8Array): AvalancheMessage {
  const body = bytes.subarray(1);
  switch (bytes[0]) {
    case TAGS.query:
      return { kind: "query", ...decode(queryCodec, body) };
    case TAGS.answer:
      return { kind: "answer", ...decode(answerCodec, body) };
    default:
      // Another tag than these three is no message of anybody's: the body of votes does not begin so.
      return bytes[0] === TAGS.votes ? decode(votesCodec, body) : decode(unknownCodec, bytes);
  }
}

const unknownCodec: Codec<Votes> = {
  sizeMin: 1,
  encode: () => undefined,
  decode: (reader) => reader.fail("unknown-variant", `message ${reader.u8()}`),
};

function encodeBody(message: AvalancheMessage): Uint8Array {
  switch (message.kind) {
    case "query":
      return encode(queryCodec, message, 16 + 34 * message.lanes.reduce((sum, lane) => sum + lane.length, 1));
    case "answer":
      return encode(answerCodec, message);
    case "votes":
      return encode(votesCodec, message, 16 + 48 * message.entries.length);
    default:
      return unreachable(message);
  }
}

/** What the signer of a message says. The numbers of polls are its own: two answers to one poll are a violation, no evidence. */
export function statementOf(message: AvalancheMessage): Statement {
  switch (message.kind) {
    case "query":
      return { phase: "query", view: 0, sequence: message.poll, digest: hashOf("query", encodeBody(message)) };
    case "answer":
      return {
        phase: "answer",
        view: message.to,
        sequence: message.poll,
        digest: hashOf("answer", encodeBody(message)),
      };
    case "votes":
      return votesStatement(message);
    default:
      return unreachable(message);
  }
}
