import type { FinalityVerdict } from "../light/verdict.ts";
import { fromBase64 } from "./base64.ts";
import { CretoError, type CretoErrorCode } from "./creto-error.ts";
import { Fields } from "./fields.ts";
import { pause, type Patience } from "./patience.ts";
import type { PooledNode } from "./node-pool.ts";
import { PASSING, type Transport } from "./transport.ts";
import { checkedHash } from "./vertices.ts";

/** What a node itself says where it has no proof, and will have none soon. */
const HAS_NONE: readonly CretoErrorCode[] = ["not-provable", "unknown-vertex"];

/** Between two rounds over all nodes, where none says how long to wait. */
const PAUSE_MS = 500;

type Light = typeof import("../light/light-session.ts");
type Session = InstanceType<Light["LightSession"]>;

/** A vertex that a quorum of validators proved to be final. No node was trusted for any of it. */
export interface VerifiedVertex {
  readonly hash: string;
  /** Its place in the total order, from 1; null in a leaderless network, where it is accepted and in no order. */
  readonly sequence: number | null;
  readonly creator: string;
  readonly nonce: number;
  readonly payload: Uint8Array;
  /** What it claims of a leaderless network and nobody else has; empty where everything is ordered. */
  readonly conflictKeys: readonly Uint8Array[];
  /** The epoch whose validators signed, and who did, by node id. */
  readonly epoch: number;
  readonly signers: readonly string[];
  readonly quorum: number;
}

/** Checks what nodes say against validators that this client was given, and follows their changes. */
export class LightClient {
  readonly #transport: Transport;
  readonly #first: Uint8Array;
  #session: Session | null = null;

  constructor(transport: Transport, first: Uint8Array) {
    this.#transport = transport;
    this.#first = first;
  }

  /** The validators that are believed now: to be kept, and given to `connect` again. */
  get trusted(): Uint8Array {
    return this.#session?.encode() ?? this.#first;
  }

  /**
   * Asks one node of the list after the other: who shows a wrong proof, or none, is passed over. All are asked again, until the
   * patience ends, where one of them says that it has none yet, and where none of them answers.
   * @throws CretoError `not-proved` where a wrong proof was all that was shown; else why the nodes have none
   */
  async verified(hash: string, patience: Patience): Promise<VerifiedVertex> {
    const session = await this.#open();
    const path = `/v1/vertices/${checkedHash(hash)}/proof`;
    const { pool } = this.#transport;
    for (let coming: CretoError | null = null; ; ) {
      const failures: CretoError[] = [];
      const first = await pool.pick(patience).catch((error: unknown) => {
        throw givenUp(error, coming);
      });
      for (const node of [first, ...pool.nodes.filter(({ url }) => url !== first.url)]) {
        const answer = await this.#provenBy(node, session, { hash, path }, patience);
        if (!(answer instanceof CretoError)) return answer;
        if (patience.ended !== null) throw givenUp(patience.ended, failures.at(-1) ?? coming);
        failures.push(answer);
      }
      coming = comingOf(failures);
      if (coming === null) throw worstOf(failures);
      await pause(coming.retryAfterMs ?? PAUSE_MS, patience.signal).catch(() => undefined);
    }
  }

  async #provenBy(
    node: PooledNode,
    session: Session,
    wanted: { readonly hash: string; readonly path: string },
    patience: Patience,
  ): Promise<VerifiedVertex | CretoError> {
    const { pool } = this.#transport;
    try {
      const ask = { method: "GET", path: wanted.path, isRepeatable: true } as const;
      const { body } = await this.#transport.askOnce(ask, node, patience);
      const proof = bytesOf(new Fields(body, "proof").text("proof"));
      while (session.isBehind(proof)) await this.#follow(session, node, patience);
      return viewOf(session.verify(wanted.hash, proof));
    } catch (error) {
      const failure = asNotProved(error, node);
      // Who knows nothing of it may be the best one to ask for everything else.
      if (patience.ended === null && !HAS_NONE.includes(failure.code)) pool.failed(node, failure.retryAfterMs);
      return failure;
    }
  }

  /** One page of links. Every page brings the session forward, or it is an error. */
  async #follow(session: Session, pinned: PooledNode, patience: Patience): Promise<void> {
    const before = session.epoch;
    const ask = { method: "GET", path: "/v1/epochs", query: { from: before }, isRepeatable: true } as const;
    const { body } = await this.#transport.askOnce(ask, pinned, patience);
    // Another call may have come further meanwhile: these links are of the past then.
    if (session.epoch === before) session.follow(new Fields(body, "epochs").texts("links").map(bytesOf));
    if (session.epoch > before) return;
    throw new CretoError("not-proved", `the node does not show how epoch ${before} ended`, { node: pinned.url });
  }

  /** Loaded when it is needed: signatures in JavaScript are most of what a browser would have to load. */
  async #open(): Promise<Session> {
    if (this.#session !== null) return this.#session;
    const { LightSession } = await import("../light/light-session.ts");
    try {
      this.#session ??= LightSession.from(this.#first);
    } catch (error) {
      throw new CretoError("invalid-argument", `trusted: ${messageOf(error)}`, { cause: error });
    }
    return this.#session;
  }
}

function viewOf(verdict: FinalityVerdict): VerifiedVertex {
  const { hash, creator, nonce, payload, epoch, signers, quorum } = verdict;
  const isOrdered = verdict.kind === "ordered";
  const sequence = isOrdered ? verdict.position : null;
  const conflictKeys = isOrdered ? [] : verdict.conflictKeys;
  const who = signers.map(({ nodeId }) => nodeId);
  return { hash, sequence, creator, nonce, payload, conflictKeys, epoch, signers: who, quorum };
}

function bytesOf(text: string): Uint8Array {
  const bytes = fromBase64(text);
  if (bytes === null) throw new CretoError("bad-answer", "what should be a proof is not base64");
  return bytes;
}

/** Of the node that showed it; what it says itself, and what ended the call, stays what it is. */
function asNotProved(error: unknown, node: PooledNode): CretoError {
  if (error instanceof CretoError && error.code !== "bad-answer" && error.code !== "not-proved") return error;
  return new CretoError("not-proved", `${node.url} proves nothing: ${messageOf(error)}`, {
    node: node.url,
    cause: error,
  });
}

/** Why it is worth while to ask again; null where it is not. */
function comingOf(failures: readonly CretoError[]): CretoError | null {
  const pending = failures.find(({ code }) => code === "not-ready");
  return pending ?? (failures.every(({ code }) => PASSING.includes(code)) ? (failures[0] ?? null) : null);
}

/** A forgery is worse than a proof that is elsewhere, that is worse than a vertex that nobody knows, and that than a node that is away. */
function worstOf(failures: readonly CretoError[]): CretoError {
  const ranked: readonly CretoErrorCode[] = ["not-proved", ...HAS_NONE];
  const said = ranked.flatMap((code) => failures.find((failure) => failure.code === code) ?? []);
  return said[0] ?? failures[0] ?? new CretoError("invalid-argument", "no node to ask");
}

/** What kept the call from its result until its time was over, where anything did. */
function givenUp(ended: unknown, last: CretoError | null): unknown {
  return last !== null && ended instanceof CretoError && ended.code === "timeout" ? last : ended;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
