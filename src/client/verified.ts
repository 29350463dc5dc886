import type { FinalityVerdict } from "../light/finality-proof.ts";
import { fromBase64 } from "./base64.ts";
import { CretoError } from "./creto-error.ts";
import { Fields } from "./fields.ts";
import type { Patience } from "./patience.ts";
import type { PooledNode } from "./node-pool.ts";
import type { Transport } from "./transport.ts";
import { checkedHash } from "./vertices.ts";

type Light = typeof import("../light/light-session.ts");
type Session = InstanceType<Light["LightSession"]>;

/** A vertex that a quorum of validators proved to be final. No node was trusted for any of it. */
export interface VerifiedVertex {
  readonly hash: string;
  /** Its place in the total order, from 1. */
  readonly sequence: number;
  readonly creator: string;
  readonly nonce: number;
  readonly payload: Uint8Array;
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

  /** @throws CretoError `not-proved` where no node of the list proves it */
  async verified(hash: string, patience: Patience): Promise<VerifiedVertex> {
    const session = await this.#open();
    let failure: CretoError | null = null;
    // Who shows a wrong proof is passed over: there may be an honest one among the nodes.
    for (const _ of this.#transport.pool.nodes) {
      const { body, node } = await this.#get(`/v1/vertices/${checkedHash(hash)}/proof`, {}, patience);
      try {
        const proof = bytesOf(new Fields(body, "proof").text("proof"));
        while (session.isBehind(proof)) await this.#follow(session, node, patience);
        return viewOf(session.verify(hash, proof));
      } catch (error) {
        failure = asNotProved(error, node);
        this.#transport.pool.failed(node, null);
      }
    }
    throw failure ?? new CretoError("invalid-argument", "no node to ask");
  }

  /** One page of links. Every page brings the session forward, or it is an error. */
  async #follow(session: Session, pinned: PooledNode, patience: Patience): Promise<void> {
    const before = session.epoch;
    const { body } = await this.#get("/v1/epochs", { from: before }, patience, pinned);
    session.follow(new Fields(body, "epochs").texts("links").map(bytesOf));
    if (session.epoch > before) return;
    throw new CretoError("not-proved", `the node does not show how epoch ${before} ended`, { node: pinned.url });
  }

  async #get(
    path: string,
    query: Readonly<Record<string, number>>,
    patience: Patience,
    pinned?: PooledNode,
  ): ReturnType<Transport["ask"]> {
    const ask = { method: "GET", path, query, isRepeatable: true } as const;
    return await this.#transport.ask(pinned === undefined ? ask : { ...ask, pinned }, patience);
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

function viewOf({ hash, position, creator, nonce, payload, epoch, signers, quorum }: FinalityVerdict): VerifiedVertex {
  const who = signers.map(({ nodeId }) => nodeId);
  return { hash, sequence: position, creator, nonce, payload, epoch, signers: who, quorum };
}

function bytesOf(text: string): Uint8Array {
  const bytes = fromBase64(text);
  if (bytes === null) throw new CretoError("bad-answer", "what should be a proof is not base64");
  return bytes;
}

/** Of the node that showed it; what ended the call itself stays what it is. */
function asNotProved(error: unknown, node: PooledNode): CretoError {
  if (error instanceof CretoError && error.code !== "bad-answer" && error.code !== "not-proved") throw error;
  return new CretoError("not-proved", `${node.url} proves nothing: ${messageOf(error)}`, {
    node: node.url,
    cause: error,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
