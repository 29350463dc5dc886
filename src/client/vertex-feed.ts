import { CretoError } from "./creto-error.ts";
import type { Feed } from "./feed.ts";
import type { Fields } from "./fields.ts";
import { contentOf, type FinalizedVertex, finalizedOf, type NodeStatus } from "./vertices.ts";

export type Topic = "finalized" | "proposed" | "rejected" | "validators";

export interface FinalizedEvent {
  readonly type: "finalized";
  readonly vertex: FinalizedVertex;
}

/** A vertex of the node's own clients, durable and on its way. */
export interface ProposedEvent {
  readonly type: "proposed";
  readonly vertex: Pick<FinalizedVertex, "hash" | "creator" | "payload" | "conflictKeys" | "timestampMs">;
}

/** A vertex of a leaderless network that lost its conflict set, for good. */
export interface RejectedEvent {
  readonly type: "rejected";
  /** `winner` is null where the whole bundle lost its place. */
  readonly vertex: { readonly hash: string; readonly creator: string; readonly winner: string | null };
}

/** Another epoch begins. */
export interface ValidatorsEvent {
  readonly type: "validators";
  readonly epoch: number;
  readonly added: readonly string[];
  readonly size: number;
  readonly quorum: number;
  readonly afterBatch: number;
}

/** The connection was lost: of the topics other than `finalized`, what happened meanwhile is not told. */
export interface InterruptedEvent {
  readonly type: "interrupted";
}

interface EventOfTopic {
  readonly finalized: FinalizedEvent;
  readonly proposed: ProposedEvent;
  readonly rejected: RejectedEvent;
  readonly validators: ValidatorsEvent;
}

/** The events of a subscription to these topics. */
export type StreamEvent<T extends Topic = Topic> =
  | EventOfTopic[T]
  | ([T] extends ["finalized"] ? never : InterruptedEvent);

/** The stream of vertices. Only the finalized ones have numbers to resume by. */
export class VertexFeed<T extends Topic> implements Feed<StreamEvent<T>> {
  readonly #topics: ReadonlySet<Topic>;
  /** The next sequence; null until a node has said where it begins. */
  #next: number | null;

  constructor(topics: readonly T[], from: number | null) {
    this.#topics = new Set<Topic>(topics);
    this.#next = from;
  }

  hello(): object {
    const resume = this.#next !== null && this.#topics.has("finalized") ? { from: this.#next } : {};
    return { subscribe: [...this.#topics], ...resume };
  }

  begin(from: number): void {
    this.#next ??= from;
  }

  /** Of a topic that was not asked for, nodes tell nothing. */
  take(message: Fields): readonly StreamEvent<T>[] {
    return this.#eventsOf(message) as readonly StreamEvent<T>[];
  }

  #eventsOf(message: Fields): readonly StreamEvent[] {
    const type = message.text("type");
    if (type === "finalized") return message.list("items", finalizedOf).flatMap((vertex) => this.#finalized(vertex));
    if (type === "proposed") return message.list("items", proposedOf);
    if (type === "rejected") return message.list("items", rejectedOf);
    if (type === "validators") return [validatorsOf(message.object("changed"))];
    // What a later version tells besides is nothing to this one.
    return [];
  }

  interruption(): StreamEvent<T> | null {
    const isResumable = [...this.#topics].every((topic) => topic === "finalized");
    return isResumable ? null : ({ type: "interrupted" } as StreamEvent<T>);
  }

  isBehind({ lastSequence }: NodeStatus): boolean {
    return this.#topics.has("finalized") && this.#next !== null && lastSequence >= this.#next;
  }

  poll(): ReturnType<Feed<StreamEvent>["poll"]> {
    if (this.#topics.size !== 1 || !this.#topics.has("finalized")) return null;
    return { path: "/v1/finalized", query: { from: this.#next ?? 1, limit: PAGE_ITEMS } };
  }

  #finalized(vertex: FinalizedVertex): readonly FinalizedEvent[] {
    const next = this.#next ?? vertex.sequence;
    if (vertex.sequence < next) return [];
    if (vertex.sequence > next) {
      throw new CretoError(
        "bad-answer",
        `the stream goes from ${next - 1} to ${vertex.sequence}: something is missing`,
      );
    }
    this.#next = next + 1;
    return [{ type: "finalized", vertex }];
  }
}

const PAGE_ITEMS = 500;

function proposedOf(fields: Fields): ProposedEvent {
  const vertex = {
    hash: fields.text("hash"),
    creator: fields.text("creator"),
    ...contentOf(fields),
    timestampMs: fields.number("timestamp"),
  };
  return { type: "proposed", vertex };
}

function rejectedOf(fields: Fields): RejectedEvent {
  const winner = fields.maybe("winner", fields.text);
  return { type: "rejected", vertex: { hash: fields.text("hash"), creator: fields.text("creator"), winner } };
}

function validatorsOf(fields: Fields): ValidatorsEvent {
  return {
    type: "validators",
    epoch: fields.count("epoch"),
    added: fields.texts("added"),
    size: fields.count("size"),
    quorum: fields.count("quorum"),
    afterBatch: fields.count("afterBatch"),
  };
}
