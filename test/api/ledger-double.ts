import { type ApiServer, createApiServer } from "../../src/api/server.ts";
import { hashOf } from "../../src/crypto/hash.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import type { Position, Sequence } from "../../src/membership/ids.ts";
import type {
  ApplicationService,
  ApplicationStanding,
  CommandOutcome,
  Consistency,
  QueryAnswer,
} from "../../src/node/application-service.ts";
import { LedgerDesk } from "../../src/node/ledger-desk.ts";
import { NodeError, type NodeService } from "../../src/node/service.ts";
import { type ClientId, type Command, encodeCommand } from "../../src/replication/command.ts";
import { OrderedLedger } from "../../src/replication/ledger/ordered-ledger.ts";
import { Owners } from "../../src/replication/ledger/owners.ts";
import { Replica } from "../../src/replication/replica.ts";

export const SELF: NodeId = "a1".repeat(32) as NodeId;
export const OTHER: NodeId = "b2".repeat(32) as NodeId;

/** "bank-1" is the node that is asked. */
export const OWNERS: Owners = new Owners([
  { name: "bank-1", nodeId: SELF },
  { name: "bank-2", nodeId: OTHER },
]);

const OPENING: ReadonlyMap<string, bigint> = new Map([
  ["bank-1/main", 100n],
  ["bank-2/main", 50n],
]);

/** A network of one batch for each command, over a real ledger: whoever asks speaks for `creator`. */
export class LedgerDouble implements ApplicationService {
  readonly name = "ledger";
  readonly changes = null;
  readonly commands: Command[] = [];
  readonly reads: Consistency[] = [];
  /** In whose lane the next commands come. */
  creator: NodeId = SELF;
  /** What the next command ends with, though it took effect. */
  lost: NodeError | null = null;
  readonly ledger: OrderedLedger;
  readonly #replica: Replica;
  #position = 0;

  constructor(accounts: ReadonlyMap<string, bigint> = OPENING) {
    this.ledger = new OrderedLedger({ accounts, owners: OWNERS });
    this.#replica = new Replica(this.ledger);
  }

  async command(commands: readonly Command[]): Promise<readonly CommandOutcome[]> {
    const outcomes = commands.map((command) => this.apply(command));
    const { lost } = this;
    this.lost = null;
    if (lost !== null) throw lost;
    return await Promise.resolve(outcomes);
  }

  outcome(client: ClientId, number: number): CommandOutcome | null {
    const known = this.#replica.recall(client, number);
    if (known.kind !== "remembered") return null;
    return { ...known.outcome, client, hash: null, stateHash: this.#replica.root(), isReplay: true };
  }

  async query(question: Uint8Array, { consistency }: { readonly consistency: Consistency }): Promise<QueryAnswer> {
    this.reads.push(consistency);
    return await Promise.resolve({ answer: this.#replica.query(question), ...this.standing() });
  }

  /** The same network, asked at that validator's node. */
  at(node: NodeId): ApplicationService {
    return {
      name: this.name,
      changes: null,
      command: async (commands) => {
        this.creator = node;
        return await this.command(commands);
      },
      outcome: (client, number) => this.outcome(client, number),
      query: async (question, options) => await this.query(question, options),
      standing: () => this.standing(),
    };
  }

  standing(): ApplicationStanding {
    return { position: this.#position, batch: this.#position, stateHash: this.#replica.root() };
  }

  apply(command: Command): CommandOutcome {
    this.commands.push(command);
    this.#position += 1;
    const history = hashOf("record", Uint8Array.of(this.#position & 255));
    const [handled] = this.#replica.applyBatch({
      sequence: this.#position as Sequence,
      timestampMs: this.#position,
      history,
      payloads: [{ position: this.#position as Position, creator: this.creator, payload: encodeCommand(command) }],
    });
    if (handled?.kind !== "outcome") throw new NodeError("number-forgotten", "it is too old");
    const { client, outcome, isReplay } = handled;
    return { ...outcome, client, hash: isReplay ? null : history, stateHash: this.#replica.root(), isReplay };
  }
}

/** The API of one of the double's nodes, on a free port. */
export async function serveLedger(double: LedgerDouble, self: NodeId = SELF): Promise<ApiServer> {
  return await createApiServer({
    service: {} as NodeService,
    application: double.at(self),
    ledger: new LedgerDesk(OWNERS, self),
    host: "127.0.0.1",
    port: 0,
    cors: { enabled: false, origins: [] },
    log: () => undefined,
    metrics: { onRequest: () => undefined },
  });
}
