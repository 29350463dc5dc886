import { type Codec, decode, encode } from "../codec/codec.ts";
import { mapped, struct, union, variant, vec } from "../codec/composites.ts";
import { bytes, u64 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import type { Hash } from "../lib/hash.ts";
import type { Position } from "../membership/ids.ts";
import { type ClientId, clientIdCodec } from "./command.ts";
import { OUTCOME_BYTES_MAX, outcomeCodec } from "./outcome.ts";
import { RETIRED_BLOCK_CLIENTS } from "./retired-clients.ts";

/** How many of a client's last numbers are remembered: so many of its commands may be under way at once. */
export const SESSION_WINDOW = 64;

/** An outcome is kept as the bytes that are hashed and written: it is read again only where a client asks again. */
export interface Remembered {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** What is known of one client; never changed, so that a snapshot can share it. */
export interface Session {
  readonly client: ClientId;
  /** The place of the last command that was applied or rejected: no two sessions have the same. */
  readonly usedAt: Position;
  /** In ascending order of their numbers, which are among the last SESSION_WINDOW. Never empty: the last is the highest. */
  readonly outcomes: readonly Remembered[];
}

const sessionFields = {
  client: clientIdCodec,
  usedAt: mapped(
    u64,
    (value) => value as Position,
    (value: Position) => value,
  ),
  outcomes: vec(
    mapped(
      bytes(OUTCOME_BYTES_MAX),
      (raw): Remembered => ({ number: decode(outcomeCodec, raw).number, bytes: raw.slice() }),
      (remembered: Remembered) => remembered.bytes,
    ),
    SESSION_WINDOW,
  ),
};

const sessionCodec: Codec<Session> = struct<Session>(sessionFields);

export type SessionsRecord =
  | { readonly kind: "retired"; readonly clients: readonly ClientId[] }
  | ({ readonly kind: "session" } & Session);

/** A snapshot of the sessions is a sequence of these: all retired clients first, then the sessions by their paths. */
export const sessionsRecordCodec: Codec<SessionsRecord> = union<SessionsRecord>({
  retired: variant("retired", { clients: vec(clientIdCodec, RETIRED_BLOCK_CLIENTS) }),
  session: variant("session", sessionFields),
});

export function sessionPath(client: ClientId): Hash {
  return hashOf("session-path", Uint8Array.fromHex(client));
}

export function sessionDigest(session: Session): Hash {
  const size = session.outcomes.reduce((sum, { bytes }) => sum + 8 + bytes.length, 64);
  return hashOf("session", encode(sessionCodec, session, size));
}

/** Why this cannot be a session that was ever held; null where it can. */
export function sessionFault({ outcomes }: Session): string | null {
  const highest = outcomes.at(-1)?.number ?? 0;
  if (highest === 0) return "a session without an outcome";
  if ((outcomes[0]?.number ?? 0) <= highest - SESSION_WINDOW) return "an outcome below the window";
  let last = 0;
  for (const { number } of outcomes) {
    if (number <= last) return "outcomes out of order";
    last = number;
  }
  return null;
}
