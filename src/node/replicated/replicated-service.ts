import { type ClientId, type Command, encodeCommand } from "../../replication/command.ts";
import type { Outcome } from "../../replication/outcome.ts";
import type { Handled } from "../../replication/replica.ts";
import { QueryRefused } from "../../replication/replicated.ts";
import type {
  ApplicationService,
  ApplicationStanding,
  CommandOutcome,
  Consistency,
  QueryAnswer,
} from "../application-service.ts";
import { beforeDeadline } from "../deadline.ts";
import type { Clock } from "../ports.ts";
import { NodeError, type NodeService } from "../service.ts";
import { ChangeLog } from "./change-log.ts";
import { vertexAt } from "./ordered-batch.ts";
import type { Applied, Replication } from "./replication.ts";

export interface ReplicatedParts {
  readonly replication: Replication;
  readonly node: Pick<NodeService, "submit">;
  readonly clock: Clock;
}

interface Waiter {
  readonly resolve: (outcome: CommandOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * What a linearizable read puts into the order: no command, so it has no effect. Whatever anybody was told before it was
 * submitted took its place before it, and is part of the state when this node has executed it.
 */
const BARRIER: Uint8Array = Uint8Array.of(0);

/** The replicated application for this node's clients. */
export class ReplicatedService implements ApplicationService {
  readonly changes: ChangeLog;
  readonly #parts: ReplicatedParts;
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #unsubscribe: () => void;
  /** The last batch whose effects are on the disk. */
  #durable: number;
  /** The barrier of the reads that came in this turn of the event loop. */
  #barrier: Promise<unknown> | null = null;

  constructor(parts: ReplicatedParts) {
    this.#parts = parts;
    const { replication } = parts;
    this.changes = new ChangeLog(replication.position);
    this.#durable = replication.sequence;
    this.#unsubscribe = replication.subscribe((applied) => this.#onApplied(applied));
  }

  get name(): string {
    return this.#parts.replication.name;
  }

  /** Nobody is told anything any more. */
  stop(): void {
    this.#unsubscribe();
    const stopping = new NodeError("stopping", "this node is stopping; ask another node with the same number");
    for (const waiters of this.#waiters.values()) for (const { reject } of waiters) reject(stopping);
    this.#waiters.clear();
  }

  async command(
    commands: readonly Command[],
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<readonly CommandOutcome[]> {
    const { replication, node, clock } = this.#parts;
    const outcomes: (CommandOutcome | Promise<CommandOutcome>)[] = [];
    const fresh = new Map<string, Command>();
    const mine: (() => void)[] = [];
    for (const command of commands) {
      const { client, number } = command;
      const known = replication.recall(client, number);
      // "Forgotten" is for the order to say: to a node that lags, a client's 65th number is that of one it never heard of.
      if (known.kind === "remembered" && known.outcome.sequence <= this.#durable) {
        outcomes.push(this.#replayed(client, known.outcome));
        continue;
      }
      const waiting = this.#waitFor(keyOf(client, number));
      outcomes.push(waiting.outcome);
      mine.push(waiting.cancel);
      if (known.kind !== "remembered") fresh.set(keyOf(client, number), command);
    }
    if (fresh.size > 0) {
      const submission = node.submit([...fresh.values()].map(encodeCommand));
      const failed = (error: unknown): void => {
        for (const { reject } of [...fresh.keys()].flatMap((key) => this.#take(key))) reject(error);
      };
      submission.accepted.catch(failed);
      submission.finalized.catch(failed);
    }
    const all = Promise.all(outcomes);
    all.catch(() => undefined);
    try {
      return await beforeDeadline(clock, all, timeoutMs);
    } finally {
      for (const cancel of mine) cancel();
    }
  }

  outcome(client: ClientId, number: number): CommandOutcome | "forgotten" | null {
    const known = this.#parts.replication.recall(client, number);
    // A node that lags has not heard of every client: what it cannot know it does not say.
    if (known.kind === "forgotten" && known.isCertain) return "forgotten";
    if (known.kind !== "remembered" || known.outcome.sequence > this.#durable) return null;
    return this.#replayed(client, known.outcome);
  }

  async query(
    question: Uint8Array,
    { consistency, timeoutMs }: { readonly consistency: Consistency; readonly timeoutMs: number },
  ): Promise<QueryAnswer> {
    if (consistency === "linearizable") await beforeDeadline(this.#parts.clock, this.#pass(), timeoutMs);
    try {
      return { answer: this.#parts.replication.query(question), ...this.standing() };
    } catch (cause) {
      if (!(cause instanceof QueryRefused)) throw cause;
      throw new NodeError(cause.code === "malformed" ? "malformed-question" : "query-refused", cause.message, {
        cause,
      });
    }
  }

  standing(): ApplicationStanding {
    const { position, sequence, root } = this.#parts.replication;
    return { position, batch: sequence, stateHash: root };
  }

  /** One barrier for all reads that began before it was submitted. */
  #pass(): Promise<unknown> {
    const { clock, node } = this.#parts;
    this.#barrier ??= new Promise((resolve, reject) => {
      clock.defer(() => {
        this.#barrier = null;
        node.submit([BARRIER]).finalized.then(resolve, reject);
      });
    });
    return this.#barrier;
  }

  #onApplied({ state, bundles, handled, changes }: Applied): void {
    this.#durable = state.sequence;
    for (const each of handled) {
      for (const { resolve, reject } of this.#take(keyOf(each.client, each.number))) {
        if (each.kind === "forgotten") reject(forgotten(each.client, each.number));
        else resolve(this.#outcomeOf(each, vertexAt(bundles, each.outcome.position)));
      }
    }
    if (changes !== null) this.changes.add(changes);
  }

  #outcomeOf(
    { client, outcome, isReplay }: Extract<Handled, { kind: "outcome" }>,
    hash: CommandOutcome["hash"],
  ): CommandOutcome {
    return { ...outcome, client, hash, stateHash: this.#parts.replication.root, isReplay };
  }

  #replayed(client: ClientId, outcome: Outcome): CommandOutcome {
    return { ...outcome, client, hash: null, stateHash: this.#parts.replication.root, isReplay: true };
  }

  #waitFor(key: string): { readonly outcome: Promise<CommandOutcome>; cancel(): void } {
    const { promise, resolve, reject } = Promise.withResolvers<CommandOutcome>();
    // Who gave up waiting must not crash the process.
    promise.catch(() => undefined);
    const waiters = this.#waiters.get(key) ?? new Set<Waiter>();
    const waiter = { resolve, reject };
    waiters.add(waiter);
    this.#waiters.set(key, waiters);
    const cancel = (): void => {
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#waiters.get(key) === waiters) this.#waiters.delete(key);
    };
    return { outcome: promise, cancel };
  }

  #take(key: string): readonly Waiter[] {
    const waiters = this.#waiters.get(key);
    this.#waiters.delete(key);
    return waiters === undefined ? [] : [...waiters];
  }
}

function keyOf(client: ClientId, number: number): string {
  return `${client}/${number}`;
}

function forgotten(client: ClientId, number: number): NodeError {
  const what = `number ${number} of client ${client} is no longer remembered`;
  return new NodeError("number-forgotten", `${what}: it was applied long ago, or never will be. Use a new number`);
}
