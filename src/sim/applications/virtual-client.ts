import { assert } from "../../lib/assert.ts";
import type { CommandOutcome } from "../../node/application-service.ts";
import { type ClientId, isClientId } from "../../replication/command.ts";
import type { Client } from "../plan.ts";
import { Random } from "../random.ts";
import type { Schedule } from "../schedule.ts";
import type { VirtualNode } from "../virtual-node.ts";
import type { ReplicaChecker } from "./replica-checker.ts";
import type { TestedApplication } from "./tested-application.ts";

/** What a client needs of the world around it. */
export interface ClientWorld {
  readonly schedule: Schedule;
  readonly seed: number;
  /** Whom it may ask: every process. */
  readonly nodes: readonly VirtualNode[];
  readonly application: TestedApplication;
  readonly checker: ReplicaChecker;
  /** Runs a check; what it finds ends the run. */
  guard(check: () => void): void;
  note(node: VirtualNode, text: string): void;
}

/** Patience doubles up to here, in milliseconds: a network that is down is not buried in repetitions. */
const PATIENCE_MS_MAX = 2_000;

/** A node that has not answered by then answers nobody; the client has asked others long before. */
const ANSWER_MS_MAX = 30_000;

/** A number is not begun before all those so far below it are answered: sessions remember 64. */
const AHEAD_MAX = 48;

/** How often a command is given to two validators at the same instant. */
const TWICE = 0.15;

/** How often an answer is followed by an old number once more, with another command: it is answered for the first, or forgotten. */
const REPEATED = 0.1;

/** How often an answer is followed by a read, and how many of those want to see all that anybody was told. */
const READS = 0.25;
const LINEARIZABLE = 0.7;

/** How often a lying validator puts another command in the place of the one that it is given, under the same number. */
const ALTERED = 0.5;

interface Open {
  readonly body: Uint8Array;
  patienceMs: number;
}

/**
 * A client that keeps at it: each command under its number, at one validator after the other, until a correct one tells what
 * became of it. What a lying validator tells is not listened to.
 */
export class VirtualClient {
  readonly #world: ClientWorld;
  readonly #plan: Client;
  readonly #id: ClientId;
  readonly #random: Random;
  readonly #open = new Map<number, Open>();
  #next = 1;
  #answered = 0;

  constructor(world: ClientWorld, plan: Client, index: number) {
    this.#world = world;
    this.#plan = plan;
    this.#random = Random.of(world.seed, 0xc1, index);
    const id = (0xc11e_0000 + index).toString(16).padEnd(32, "0");
    assert(isClientId(id), "a client's id");
    this.#id = id;
  }

  /** Every command has its outcome. */
  get isDone(): boolean {
    return this.#next > this.#plan.commands && this.#open.size === 0;
  }

  /** Commands whose outcome it knows. */
  get answered(): number {
    return this.#answered;
  }

  /** What it waits for, for people. */
  get standing(): string {
    return `client ${this.#id.slice(0, 8)} waits for ${[...this.#open.keys()].slice(0, 5).join(", ")}`;
  }

  begin(): void {
    this.#world.schedule.at(this.#plan.atMs, () => this.#fill());
  }

  #fill(): void {
    const { commands, atATime, patienceMs } = this.#plan;
    while (this.#next <= commands && this.#open.size < atATime) {
      const [lowest = this.#next] = this.#open.keys();
      if (this.#next >= lowest + AHEAD_MAX) return;
      const number = this.#next;
      this.#next += 1;
      const node = this.#anyone();
      const body = this.#world.application.commandOf(this.#random, node.index);
      this.#open.set(number, { body, patienceMs });
      this.#ask(number, node);
      if (this.#random.chance(TWICE)) this.#submit(number, body, this.#anyone());
    }
  }

  /** Asks this one, and after a while another one, until the outcome is there. */
  #ask(number: number, node: VirtualNode): void {
    const open = this.#open.get(number);
    if (open === undefined) return;
    this.#submit(number, open.body, node);
    this.#world.schedule.after(open.patienceMs, () => this.#ask(number, this.#anyone()));
    open.patienceMs = Math.min(open.patienceMs * 2, PATIENCE_MS_MAX);
  }

  #submit(number: number, body: Uint8Array, node: VirtualNode): void {
    const { service } = node;
    if (service === null) return;
    const isAltered = !node.isCorrect && this.#random.chance(ALTERED);
    const said = isAltered ? this.#world.application.commandOf(this.#random, node.index) : body;
    service.command([{ client: this.#id, number, body: said }], { timeoutMs: ANSWER_MS_MAX }).then(
      ([outcome]) => {
        // A process that is gone says nothing any more.
        if (node.isCorrect && node.service === service && outcome !== undefined) this.#onTold(node, outcome);
      },
      // It cannot now: another one is asked in a while.
      () => undefined,
    );
  }

  #onTold(node: VirtualNode, outcome: CommandOutcome): void {
    const { number, status, position } = outcome;
    this.#world.note(node, `tells ${this.#id.slice(0, 8)}: command ${number} ${status} at ${position}`);
    this.#world.guard(() => this.#world.checker.onTold(node.place, this.#id, outcome, node.disk.executed()));
    if (!this.#open.delete(number)) return;
    this.#answered += 1;
    if (this.#random.chance(READS)) this.#read();
    if (this.#random.chance(REPEATED)) this.#repeat();
    this.#fill();
  }

  #repeat(): void {
    const number = this.#random.between(1, this.#next - 1);
    const node = this.#anyone();
    if (!this.#open.has(number))
      this.#submit(number, this.#world.application.commandOf(this.#random, node.index), node);
  }

  #read(): void {
    const { application, checker, guard } = this.#world;
    const node = this.#anyone();
    const { service } = node;
    if (service === null || !node.isCorrect) return;
    const consistency = this.#random.chance(LINEARIZABLE) ? "linearizable" : "local";
    const floor = consistency === "linearizable" ? checker.told : 0;
    const question = application.questionOf(this.#random);
    service.query(question, { consistency, timeoutMs: ANSWER_MS_MAX }).then(
      ({ answer, position, batch, stateHash }) => {
        if (node.service !== service) return;
        guard(() => checker.onRead(node.place, { question, answer, position, batch, root: stateHash }, floor));
      },
      () => undefined,
    );
  }

  #anyone(): VirtualNode {
    return this.#random.pick(this.#world.nodes);
  }
}
