import type { HeldBundle } from "../../dag/bundle.ts";
import type { Hash } from "../../lib/hash.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { ApplicationService, CommandOutcome, Consistency, QueryAnswer } from "../../node/application-service.ts";
import { type ReplicatedParts, ReplicatedService } from "../../node/replicated/replicated-service.ts";
import { Replication, type ReplicationOptions } from "../../node/replicated/replication.ts";
import { SnapshotStore } from "../../node/replicated/snapshot-store.ts";
import { type ClientId, type Command, decodeCommand, encodeCommand } from "../../replication/command.ts";
import type { OrderedBundles } from "../../replication/executor.ts";
import type { Handled } from "../../replication/replica.ts";
import type { Application } from "../../replication/replicated.ts";
import type { VirtualNode } from "../virtual-node.ts";
import { Careless, Generous, Selfish } from "./wrong-applications.ts";

/** Faults of what drives the application, and of what serves it. */

type MakeReplication = (options: ReplicationOptions, node: VirtualNode) => Replication;

export const selfish: MakeReplication = (options, node) => around(options, (one) => new Selfish(one, node.keys.nodeId));
export const careless: MakeReplication = (options) => around(options, (one) => new Careless(one));
export const generous: MakeReplication = (options) => around(options, (one) => new Generous(one));

function around(options: ReplicationOptions, wrap: (inner: Application) => Application): Replication {
  return new Replication({ ...options, newApplication: () => wrap(options.newApplication()) });
}

type Named = Pick<Command, "client" | "number">;

/** What was answered before this life is not remembered: it takes effect again, under another name. */
class Forgetful extends Replication {
  readonly #names = new Map<ClientId, Named>();
  #before = 0;

  override async restore(...[parts, execution]: Parameters<Replication["restore"]>): Promise<void> {
    await super.restore(parts, execution);
    this.#before = execution.sequence;
  }

  override apply(network: NetworkContext, ordered: OrderedBundles, heldOf: (digest: Hash) => HeldBundle): Hash {
    return super.apply(network, ordered, (digest) => {
      const held = heldOf(digest);
      const payloads = held.bundle.payloads.map((payload) => this.#renamed(payload));
      return { ...held, bundle: { ...held.bundle, payloads } };
    });
  }

  override takeEffects(): ReturnType<Replication["takeEffects"]> {
    const effects = super.takeEffects();
    return { ...effects, handled: effects.handled.map((one) => this.#asAsked(one)) };
  }

  #renamed(payload: Uint8Array): Uint8Array {
    const command = decodeCommand(payload);
    if (command === null) return payload;
    const { client, number, body } = command;
    const known = this.recall(client, number);
    if (known.kind !== "remembered" || known.outcome.sequence > this.#before) return payload;
    const name = (client.slice(0, 16) + number.toString(16).padStart(16, "f")) as ClientId;
    this.#names.set(name, { client, number });
    return encodeCommand({ client: name, number: 1, body });
  }

  #asAsked(handled: Handled): Handled {
    const name = this.#names.get(handled.client);
    if (name === undefined || handled.kind === "forgotten") return handled;
    return { ...handled, ...name, outcome: { ...handled.outcome, number: name.number } };
  }
}

export const forgetful: MakeReplication = (options) => new Forgetful(options);

/** The newest snapshot is taken for the state; what was ordered after it is not replayed. */
class Hasty extends Replication {
  override async restore(...[parts, execution]: Parameters<Replication["restore"]>): Promise<void> {
    const [newest] = await new SnapshotStore(parts.database).list(execution.sequence);
    await super.restore(parts, newest?.execution ?? execution);
  }
}

export const hasty: MakeReplication = (options) => new Hasty(options);

/** Nobody is told what became of a command. */
class Silent extends Replication {
  override onDurable(): void {
    // Not a word.
  }
}

export const silent: MakeReplication = (options) => new Silent(options);

class Wrong extends ReplicatedService {
  readonly parts: ReplicatedParts;

  constructor(parts: ReplicatedParts) {
    super(parts);
    this.parts = parts;
  }
}

/** Every read is of this node's own state. */
class Local extends Wrong {
  override query(
    question: Uint8Array,
    { timeoutMs }: { readonly consistency: Consistency; readonly timeoutMs: number },
  ): Promise<QueryAnswer> {
    return super.query(question, { consistency: "local", timeoutMs });
  }
}

/** Who asks again is told what this node has in memory, whether it is on the disk or not. */
class Chatty extends Wrong {
  override async command(
    commands: readonly Command[],
    options: { readonly timeoutMs: number },
  ): Promise<readonly CommandOutcome[]> {
    const { replication } = this.parts;
    const known = commands.flatMap(({ client, number }): CommandOutcome[] => {
      const found = replication.recall(client, number);
      if (found.kind !== "remembered") return [];
      return [{ ...found.outcome, client, hash: null, stateHash: replication.root, isReplay: true }];
    });
    return known.length === commands.length ? known : await super.command(commands, options);
  }
}

export const local = (parts: ReplicatedParts): ApplicationService => new Local(parts);
export const chatty = (parts: ReplicatedParts): ApplicationService => new Chatty(parts);
