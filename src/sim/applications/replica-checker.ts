import { present } from "../../lib/assert.ts";
import { equalBytes } from "../../lib/bytes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence } from "../../membership/ids.ts";
import { type ClientId, decodeCommand } from "../../replication/command.ts";
import type { Outcome } from "../../replication/outcome.ts";
import type { Handled, OrderedPayload } from "../../replication/replica.ts";
import { Violation } from "../violation.ts";
import { SessionModel } from "./session-model.ts";
import type { ApplicationModel, Query, TestedApplication } from "./tested-application.ts";

/** What a replica made of a batch. */
export interface ExecutedBatch {
  readonly sequence: Sequence;
  readonly payloads: readonly OrderedPayload[];
  readonly handled: readonly Handled[];
  readonly root: Hash;
}

/** What a node answered to a question, and how far its state had come. */
export interface ReadAnswer {
  readonly question: Uint8Array;
  readonly answer: Uint8Array;
  readonly position: number;
  readonly batch: number;
  readonly root: Hash;
}

/** What must have come of a batch. */
interface Reference {
  readonly handled: readonly Handled[];
  readonly answer: Query;
  /** The first that was seen; all others are to be equal. */
  root: Hash | null;
}

/**
 * What a replicated application promises, seen by one who remembers everything: the first node that executes a batch has a
 * model of application and sessions execute it, and all nodes are compared with that, each time that they execute it.
 */
export class ReplicaChecker {
  readonly #model: ApplicationModel;
  readonly #sessions = new SessionModel();
  readonly #batches = new Map<number, Reference>();
  #sequence = 0;
  #told = 0;
  #checks = 0;

  constructor(application: TestedApplication) {
    this.#model = application.newModel();
    this.#batches.set(0, { handled: [], answer: this.#model.freeze(), root: null });
  }

  /** Checks that were made. */
  get checks(): number {
    return this.#checks;
  }

  /** The highest position of a command whose outcome a client was told. */
  get told(): number {
    return this.#told;
  }

  onExecuted(place: number, batch: ExecutedBatch, query: Query): void {
    this.#checks += 1 + batch.handled.length;
    const { sequence } = batch;
    if (sequence === this.#sequence + 1) this.#execute(batch);
    const reference = present(this.#batches.get(sequence), `batch ${sequence}, in the model of the application`);
    this.#compareHandled(place, batch, reference.handled);
    if (sequence === this.#sequence) {
      const found = this.#model.audit(query);
      if (found !== null) throw new Violation(found.invariant, `node ${place} ${found.what}, after batch ${sequence}`);
    }
    this.#compareRoot(place, sequence, batch.root);
  }

  /** From a snapshot and the log, when its node started. */
  onRestored(place: number, sequence: Sequence, root: Hash): void {
    this.#checks += 1;
    this.#compareRoot(place, sequence, root);
  }

  /** @param durable the last batch whose execution is on the disk of the node that said it */
  onTold(place: number, client: ClientId, outcome: Outcome, durable: number): void {
    this.#checks += 1;
    const { number, sequence, position } = outcome;
    const wanted = this.#sessions.outcome(client, number);
    if (wanted === null) {
      const what = `node ${place} told an outcome of ${named(client, number)}, which nobody executed`;
      throw new Violation("application-answer", what);
    }
    const difference = differenceOf(outcome, wanted);
    if (difference !== null) {
      const what = `node ${place} told of ${named(client, number)}: ${difference.what}`;
      throw new Violation(difference.invariant, what);
    }
    if (durable < sequence) {
      const what = `node ${place} told an outcome of batch ${sequence}, on its disk is batch ${durable}`;
      throw new Violation("durable-before-visible", what);
    }
    this.#told = Math.max(this.#told, position);
  }

  /** @param floor what clients had been told when the question was asked, as `told`; 0 for a read of one node's own state */
  onRead(place: number, read: ReadAnswer, floor: number): void {
    this.#checks += 1;
    if (read.position < floor) {
      const what = `node ${place} answered from position ${read.position} to who might have heard of ${floor}`;
      throw new Violation("linearizable-reads", what);
    }
    const reference = present(this.#batches.get(read.batch), `batch ${read.batch}, in the model of the application`);
    if (!equalBytes(read.answer, reference.answer(read.question))) {
      const what = `node ${place} answered a question otherwise than the state of batch ${read.batch} does`;
      throw new Violation("application-answer", what);
    }
    this.#compareRoot(place, read.batch, read.root);
  }

  /** The batch that no node has executed before. */
  #execute({ sequence, payloads }: ExecutedBatch): void {
    const handled: Handled[] = [];
    for (const { position, creator, payload } of payloads) {
      const command = decodeCommand(payload);
      if (command === null) continue;
      const { client, number, body } = command;
      const addressed = { position, client, number };
      const known = this.#sessions.recall(client, number);
      if (known === "forgotten") handled.push({ ...addressed, kind: "forgotten" });
      else if (known !== null) handled.push({ ...addressed, kind: "outcome", outcome: known, isReplay: true });
      else {
        const { status, result, reason } = this.#model.apply(body, { position, creator });
        const outcome: Outcome = {
          number,
          position,
          sequence,
          status,
          result: { kind: "bytes", bytes: result },
          reason,
        };
        this.#sessions.record(client, outcome);
        handled.push({ ...addressed, kind: "outcome", outcome, isReplay: false });
      }
    }
    this.#sequence = sequence;
    this.#batches.set(sequence, { handled, answer: this.#model.freeze(), root: null });
  }

  #compareHandled(place: number, { sequence, handled }: ExecutedBatch, wanted: readonly Handled[]): void {
    if (handled.length !== wanted.length) {
      const what = `node ${place} handled ${handled.length} commands in batch ${sequence}, not ${wanted.length}`;
      throw new Violation("application-answer", what);
    }
    for (const [at, expected] of wanted.entries()) {
      const difference = compared(present(handled[at], "a handled command"), expected);
      if (difference === null) continue;
      const { client, number, position } = expected;
      const what = `node ${place}, ${named(client, number)} at position ${position}: ${difference.what}`;
      throw new Violation(difference.invariant, what);
    }
  }

  #compareRoot(place: number, sequence: number, root: Hash): void {
    const reference = present(this.#batches.get(sequence), `batch ${sequence}, in the model of the application`);
    reference.root ??= root;
    if (reference.root === root) return;
    const roots = `root ${root.slice(0, 8)}, ${reference.root.slice(0, 8)} elsewhere`;
    throw new Violation("application-root", `node ${place} has after batch ${sequence} ${roots}`);
  }
}

interface Difference {
  readonly invariant: "exactly-once" | "application-answer";
  readonly what: string;
}

function compared(found: Handled, wanted: Handled): Difference | null {
  if (found.client !== wanted.client || found.number !== wanted.number || found.position !== wanted.position) {
    const what = `it handled ${named(found.client, found.number)} at position ${found.position} there`;
    return { invariant: "application-answer", what };
  }
  const before = wanted.kind === "outcome" && wanted.isReplay ? wanted.outcome : null;
  if (found.kind === "outcome" && !found.isReplay && (before !== null || wanted.kind === "forgotten")) {
    const when = before === null ? "and is forgotten" : `at position ${before.position}`;
    return { invariant: "exactly-once", what: `it took effect again; it had before, ${when}` };
  }
  if (found.kind === "forgotten" || wanted.kind === "forgotten") {
    if (found.kind === wanted.kind) return null;
    return { invariant: "application-answer", what: `it is ${found.kind}, not ${wanted.kind}` };
  }
  if (found.isReplay !== wanted.isReplay) return { invariant: "application-answer", what: "it had no effect" };
  return differenceOf(found.outcome, wanted.outcome);
}

function differenceOf(found: Outcome, wanted: Outcome): Difference | null {
  if (found.position !== wanted.position || found.sequence !== wanted.sequence) {
    const what = `its place is ${found.sequence}/${found.position}, not ${wanted.sequence}/${wanted.position}`;
    return { invariant: "exactly-once", what };
  }
  const isSame =
    found.status === wanted.status && found.reason === wanted.reason && equalResults(found.result, wanted.result);
  if (isSame) return null;
  return { invariant: "application-answer", what: `it is ${shown(found)}, not ${shown(wanted)}` };
}

/** Results of this world are small enough to be remembered whole. */
function equalResults(found: Outcome["result"], wanted: Outcome["result"]): boolean {
  return found.kind === "bytes" && wanted.kind === "bytes" && equalBytes(found.bytes, wanted.bytes);
}

function shown({ status, reason, result }: Outcome): string {
  const bytes = result.kind === "bytes" ? result.bytes.toHex() : result.hash;
  return `${status}${reason === null ? "" : ` (${reason})`} ${bytes}`;
}

function named(client: ClientId, number: number): string {
  return `command ${number} of client ${client.slice(0, 8)}`;
}
