import type { NodeId } from "../../crypto/identity.ts";
import type { Position } from "../../membership/ids.ts";
import type { ReplicationOptions } from "../../node/replicated/replication.ts";
import type { Application } from "../../replication/replicated.ts";
import type { SimApplication } from "../plan.ts";
import type { Random } from "../random.ts";
import type { Invariant } from "../violation.ts";

/** What a command's effect may depend on, of its place in the order. */
export interface CommandPlace {
  readonly position: Position;
  readonly creator: NodeId;
}

/** What a model makes of a command, to be compared with what replicas make of it. */
export interface ModelAnswer {
  readonly status: "applied" | "rejected";
  readonly result: Uint8Array;
  readonly reason: string | null;
}

export type Query = (question: Uint8Array) => Uint8Array;

/** What a replica has otherwise than it must. */
export interface Finding {
  readonly invariant: Invariant;
  readonly what: string;
}

/** An application once more, as plainly as can be: what it says of the agreed order is taken for the truth. */
export interface ApplicationModel {
  apply(body: Uint8Array, place: CommandPlace): ModelAnswer;
  /** Looks at the whole state of a replica that has executed as much as the model, by its answers to questions. */
  audit(query: Query): Finding | null;
  /** Answers from the state as it is now, also when the model has gone on. */
  freeze(): Query;
}

/** An application that the simulator can run: production's, its model, and what clients ask of it. */
export interface TestedApplication {
  readonly name: Exclude<SimApplication, "log">;
  readonly takeChanges: ReplicationOptions["takeChanges"];
  newApplication(): Application;
  newModel(): ApplicationModel;
  /** The body of a command, for a client that asks this process first. */
  commandOf(random: Random, place: number): Uint8Array;
  questionOf(random: Random): Uint8Array;
}
