import { decode, encode } from "../codec/codec.ts";
import { digestOf } from "../crypto/hash.ts";
import { assert, present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { ClientId } from "./command.ts";
import { HashTrie } from "./hash-trie.ts";
import { encodeOutcome, type Outcome, outcomeCodec } from "./outcome.ts";
import { RetiredClients } from "./retired-clients.ts";
import {
  type Remembered,
  type Session,
  SESSION_WINDOW,
  type SessionsRecord,
  sessionDigest,
  sessionFault,
  sessionPath,
  sessionsRecordCodec,
} from "./sessions-record.ts";
import { packChunks, unpackChunks } from "./snapshot-chunks.ts";

/** The most sessions at a time. A client that stays silent while so many others speak is retired. */
export const CLIENTS_MAX = 100_000;

/** What all sessions may hold together, in bytes: 100,000 with 16 small outcomes each, or 26,000 with all of theirs. */
export const SESSIONS_BYTES_MAX: number = 512 * 1024 * 1024;

/** What an outcome costs in memory beside its bytes, about. */
const OUTCOME_OVERHEAD_BYTES = 256;

/** What is known of a client's number. */
export type Recollection =
  | { readonly kind: "remembered"; readonly outcome: Outcome }
  /** It was never applied and may be. */
  | { readonly kind: "unknown" }
  /**
   * It was applied long ago, or was left out and can never be applied now. Of a client that this state knows, that is so for
   * good (`isCertain`). Of another one it is what the order says here: a state further on may remember the number.
   */
  | { readonly kind: "forgotten"; readonly isCertain: boolean };

/** Less than usual, for tests. All replicas must have the same. */
export interface SessionLimits {
  readonly clientsMax?: number;
  readonly bytesMax?: number;
  readonly retired?: ConstructorParameters<typeof RetiredClients>[0];
}

/**
 * What was applied for whom: a command takes effect once, however often and in however many lanes it comes (Ongaro,
 * Consensus: Bridging Theory and Practice, 2014, §6.3). It is a part of the replicated state: all replicas must forget alike.
 *
 * Invariant: a number of a client is recorded once at most, as long as the client has a session or is retired. A client of
 * which nothing is known may begin with the numbers of one window only, so that what a client said late in its life is
 * never taken for the first word of a new one.
 */
export class Sessions {
  readonly #limits: SessionLimits;
  /** Used longest ago first. */
  readonly #sessions = new Map<ClientId, Session>();
  readonly #trie = new HashTrie<Session>();
  /** Clients whose place in the trie is not yet what it has to be. */
  readonly #changed = new Set<ClientId>();
  readonly #paths = new Map<ClientId, Hash>();
  readonly #retired: RetiredClients;
  #bytes = 0;

  constructor(limits: SessionLimits = {}) {
    this.#limits = limits;
    this.#retired = new RetiredClients(limits.retired);
  }

  get size(): number {
    return this.#sessions.size;
  }

  recall(client: ClientId, number: number): Recollection {
    const session = this.#sessions.get(client);
    if (session === undefined) {
      const isRetired = this.#retired.has(client);
      if (number <= SESSION_WINDOW && !isRetired) return { kind: "unknown" };
      return { kind: "forgotten", isCertain: isRetired };
    }
    const found = session.outcomes.find((outcome) => outcome.number === number);
    if (found !== undefined) return { kind: "remembered", outcome: decode(outcomeCodec, found.bytes) };
    if (number > highestOf(session) - SESSION_WINDOW) return { kind: "unknown" };
    return { kind: "forgotten", isCertain: true };
  }

  /** For what `recall` calls unknown; positions only rise. */
  record(client: ClientId, outcome: Outcome): void {
    const before = this.#sessions.get(client);
    const outcomes = withOutcome(before?.outcomes ?? [], { number: outcome.number, bytes: encodeOutcome(outcome) });
    this.#drop(client);
    this.#hold({ client, usedAt: outcome.position, outcomes });
    const { clientsMax = CLIENTS_MAX, bytesMax = SESSIONS_BYTES_MAX } = this.#limits;
    while (this.#sessions.size > clientsMax || (this.#bytes > bytesMax && this.#sessions.size > 1))
      this.#retireOldest();
  }

  digest(): Uint8Array {
    this.#settle();
    return digestOf("sessions", this.#trie.digest(), this.#retired.digest());
  }

  /** The sessions as of this call. */
  snapshot(): Iterable<Uint8Array> {
    this.#settle();
    const retired = this.#retired.blocks();
    const sessions = this.#trie.freeze();
    const records: Iterable<SessionsRecord> = { [Symbol.iterator]: () => recordsOf(retired, sessions) };
    return packChunks(records, (record) => encode(sessionsRecordCodec, record, 4_096));
  }

  /**
   * The sessions that these chunks hold.
   * @throws Error where they are no snapshot of sessions
   */
  static restored(chunks: Iterable<Uint8Array>, limits: SessionLimits = {}): Sessions {
    const sessions = new Sessions(limits);
    const found: Session[] = [];
    for (const record of unpackChunks(sessionsRecordCodec, chunks)) {
      if (record.kind === "retired") {
        for (const client of record.clients) {
          if (sessions.#retired.has(client)) throw new Error(`client ${client} was retired twice`);
          sessions.#retired.add(client);
        }
        continue;
      }
      const { client, usedAt, outcomes } = record;
      const session: Session = { client, usedAt, outcomes };
      const fault = sessionFault(session);
      if (fault !== null) throw new Error(`client ${client}: ${fault}`);
      found.push(session);
      if (found.length > CLIENTS_MAX) throw new Error(`more than ${CLIENTS_MAX} sessions`);
    }
    for (const session of found.sort((left, right) => left.usedAt - right.usedAt)) {
      if (sessions.#sessions.has(session.client)) throw new Error(`client ${session.client} has two sessions`);
      sessions.#hold(session);
    }
    return sessions;
  }

  #hold(session: Session): void {
    this.#sessions.set(session.client, session);
    this.#bytes += costOf(session);
    this.#changed.add(session.client);
  }

  #drop(client: ClientId): void {
    const session = this.#sessions.get(client);
    if (session === undefined) return;
    this.#sessions.delete(client);
    this.#bytes -= costOf(session);
    this.#changed.add(client);
  }

  #retireOldest(): void {
    const [client] = this.#sessions.keys();
    this.#drop(present(client, "the session used longest ago"));
    this.#retired.add(present(client, "the session used longest ago"));
  }

  /** A client that speaks several times in a batch is hashed once. */
  #settle(): void {
    for (const client of this.#changed) {
      const session = this.#sessions.get(client);
      const path = this.#paths.get(client) ?? sessionPath(client);
      if (session === undefined) {
        this.#trie.delete(path);
        this.#paths.delete(client);
      } else {
        this.#trie.set({ path, digest: sessionDigest(session), value: session });
        this.#paths.set(client, path);
      }
    }
    this.#changed.clear();
    assert(this.#trie.size === this.#sessions.size, "the trie holds every session");
  }
}

function* recordsOf(retired: readonly (readonly ClientId[])[], sessions: Iterable<Session>): Generator<SessionsRecord> {
  for (const clients of retired) yield { kind: "retired", clients };
  for (const session of sessions) yield { kind: "session", ...session };
}

/** With one more, in its place, and without what it pushes out of the window. */
function withOutcome(outcomes: readonly Remembered[], added: Remembered): readonly Remembered[] {
  const highest = Math.max(added.number, outcomes.at(-1)?.number ?? 0);
  const kept = outcomes.filter(({ number }) => number > highest - SESSION_WINDOW);
  const at = kept.findLastIndex(({ number }) => number < added.number) + 1;
  assert(kept[at]?.number !== added.number, "a number is recorded once");
  kept.splice(at, 0, added);
  return kept;
}

function highestOf({ outcomes }: Session): number {
  return present(outcomes.at(-1), "an outcome").number;
}

function costOf({ outcomes }: Session): number {
  return outcomes.reduce((sum, { bytes }) => sum + OUTCOME_OVERHEAD_BYTES + bytes.length, 0);
}
