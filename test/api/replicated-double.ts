import { type ApiServer, createApiServer } from "../../src/api/server.ts";
import { hashOf } from "../../src/crypto/hash.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Position, Sequence } from "../../src/membership/ids.ts";
import type {
  ApplicationService,
  ApplicationStanding,
  ChangeFeed,
  CommandOutcome,
  Consistency,
  QueryAnswer,
} from "../../src/node/application-service.ts";
import { NodeError, type NodeService } from "../../src/node/service.ts";
import { type ClientId, type Command, encodeCommand } from "../../src/replication/command.ts";
import type { Change } from "../../src/replication/key-value/changes.ts";
import { KeyValueStore } from "../../src/replication/key-value/key-value-store.ts";
import { Replica } from "../../src/replication/replica.ts";
import { QueryRefused } from "../../src/replication/replicated.ts";

const CREATOR = "cd".repeat(32) as NodeId;

/** A node alone: a real store in a real replica, where every command is a batch that takes effect at once. */
export class ReplicatedDouble implements ApplicationService {
  name = "key-value";
  readonly changes: FeedDouble | null = new FeedDouble();
  /** Every command that came, replays too. */
  readonly commands: Command[] = [];
  readonly reads: Consistency[] = [];
  /** What the next command ends with: after it took effect, or instead of that. */
  refusal: { readonly error: NodeError; readonly isApplied: boolean } | null = null;
  readonly #store = new KeyValueStore();
  readonly #replica = new Replica(this.#store);
  #position = 0;

  command(commands: readonly Command[]): Promise<readonly CommandOutcome[]> {
    const { refusal } = this;
    this.refusal = null;
    if (refusal?.isApplied === false) return Promise.reject(refusal.error);
    try {
      const outcomes = commands.map((command) => this.#apply(command));
      return refusal === null ? Promise.resolve(outcomes) : Promise.reject(refusal.error);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  outcome(client: ClientId, number: number): CommandOutcome | "forgotten" | null {
    const known = this.#replica.recall(client, number);
    if (known.kind !== "remembered") return known.kind === "forgotten" && known.isCertain ? "forgotten" : null;
    return { ...known.outcome, client, hash: null, stateHash: this.#replica.root(), isReplay: true };
  }

  query(question: Uint8Array, { consistency }: { readonly consistency: Consistency }): Promise<QueryAnswer> {
    this.reads.push(consistency);
    try {
      return Promise.resolve({ answer: this.#replica.query(question), ...this.standing() });
    } catch (cause) {
      if (!(cause instanceof QueryRefused)) throw cause;
      const code = cause.code === "malformed" ? "malformed-question" : "query-refused";
      return Promise.reject(new NodeError(code, cause.message, { cause }));
    }
  }

  standing(): ApplicationStanding {
    return { position: this.#position, batch: this.#position, stateHash: this.#replica.root() };
  }

  #apply(command: Command): CommandOutcome {
    this.commands.push(command);
    this.#position += 1;
    const position = this.#position as Position;
    const history: Hash = hashOf("record", Uint8Array.of(position & 255));
    const [handled] = this.#replica.applyBatch({
      sequence: this.#position as Sequence,
      timestampMs: this.#position,
      history,
      payloads: [{ position, creator: CREATOR, payload: encodeCommand(command) }],
    });
    if (handled?.kind !== "outcome") throw new NodeError("number-forgotten", "it is too old");
    this.changes?.add(this.#store.takeChanges().items);
    const { client, outcome, isReplay } = handled;
    return { ...outcome, client, hash: isReplay ? null : history, stateHash: this.#replica.root(), isReplay };
  }
}

/** Keeps every change but those that a test lets go. */
export class FeedDouble implements ChangeFeed {
  readonly listeners: Set<(changes: readonly Change[]) => void> = new Set();
  /** Changes before this position are not kept. */
  keptFrom = 1;
  #kept: readonly Change[] = [];
  readonly #onGap = new Set<() => void>();

  add(changes: readonly Change[]): void {
    this.#kept = [...this.#kept, ...changes];
    if (changes.length > 0) for (const listener of this.listeners) listener(changes);
  }

  /** Changes go by that nobody is told of. */
  lose(): void {
    for (const onGap of this.#onGap) onGap();
  }

  subscribe(listener: (changes: readonly Change[]) => void, from: number | null, onGap: () => void): () => void {
    if (from !== null && from < this.keptFrom) throw new NodeError("too-old", `from ${this.keptFrom} on they are kept`);
    if (from !== null) listener(this.#kept.filter(({ position }) => position >= from));
    this.listeners.add(listener);
    this.#onGap.add(onGap);
    return () => {
      this.listeners.delete(listener);
      this.#onGap.delete(onGap);
    };
  }
}

/** The API before the double, on a free port. */
export async function serveReplicated(
  application: ApplicationService | null,
  service: Partial<NodeService> = {},
): Promise<ApiServer> {
  return await createApiServer({
    service: service as NodeService,
    ...(application === null ? {} : { application }),
    host: "127.0.0.1",
    port: 0,
    cors: { enabled: true, origins: ["https://a.example"] },
    log: () => undefined,
    metrics: { onRequest: () => undefined },
  });
}
