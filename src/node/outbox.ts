import { MerkleTree } from "../crypto/merkle.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import { type Proof, proofIn, sealedBytes } from "../membership/seal.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { type Addressed, type Receivers, type SealedTurn, sealedFrames } from "./frames.ts";
import type { Clock, Database, Lane, Signer } from "./ports.ts";
import type { Frame } from "./wire.ts";
import { WriteBatch } from "./write-batch.ts";

/** One statement of this node, to be covered by its turn's signature. */
export interface Outgoing {
  readonly lane: Lane;
  readonly leaf: Hash;
  readonly body: Uint8Array;
  readonly to: Receivers;
  /** With the signature in hand, before the turn is written: rows that hold the proof go into the turn. */
  readonly onSealed: ((proof: Proof, writes: WriteBatch) => void) | null;
  /** When the turn is durable and its frames are on their way; null where nobody here needs the proof. */
  readonly onSent: ((proof: Proof) => void) | null;
}

interface Turn {
  /** Of which epoch these statements are. */
  epoch: Epoch;
  /** Who signs them: this node's place when the turn closed, for it may lose it while the turn waits. */
  signer: ValidatorIndex | null;
  readonly writes: WriteBatch;
  outgoing: Outgoing[];
  unsigned: Addressed[];
  readonly onDurable: (() => void)[];
}

export interface OutboxPorts {
  readonly network: NetworkContext;
  /** Null where a leader orders clients' payloads; where none does, turns become rarer as the network grows. */
  readonly dag: object | null;
  /** Null for an observer, which signs nothing. It may change from epoch to epoch. */
  self(): ValidatorIndex | null;
  readonly database: Database;
  readonly signer: Signer;
  send(addressed: Addressed): void;
  /** The last call before a turn closes: what gathers outside (clients' payloads) is put in now. */
  beforeClose(): void;
  onTurn(turn: { readonly statements: number; readonly writes: number; readonly durationMs: number }): void;
  /** The disk or the signer failed: nothing may be said any more. */
  onFailure(error: unknown): void;
  readonly clock: Clock;
}

/** Turns between being closed and being durable: one is signed while the one before is written. */
const TURNS_UNDER_WAY_MAX = 2;

/**
 * The least time between two turns, in milliseconds, unless the network is leaderless and larger. Each turn costs this node a signature and every other one a
 * verification, so under load fewer, larger turns are both faster and quicker: with 6 ms instead of none, on two cores, 1,024
 * clients with one vertex each got 19 % more and a p99 of 427 instead of 647 ms. After a quiet time nothing waits.
 */
const TURN_INTERVAL_MS = 6;

const LEADERLESS_INTERVAL_MAX_MS = 100;

/**
 * The least time between two turns of a leaderless network of so many validators, in milliseconds. There everybody's turn
 * brings everybody else a check, a wake-up, a tree and a seal, so with n milliseconds a node hears 1,000 turns a second whatever
 * n is. The cost model's table (docs/avalanche-scale.md) says what that leaves of the event loop from 4 to 100 validators; shorter
 * turns fill it, longer ones add latency only. Above 100 the latency would pass a second.
 */
export function turnIntervalMs(validators: number): number {
  return Math.min(LEADERLESS_INTERVAL_MAX_MS, Math.max(TURN_INTERVAL_MS, validators));
}

/**
 * The node's barrier: all that one turn of the loop wants signed, written and sent. A turn's statements share one
 * signature, its writes one fsync; only then does anything of it leave, and turns leave in order. While turns are under way
 * the next one gathers, so batches grow exactly as fast as signing and disk are slow.
 *
 * Invariant: no frame of a turn is sent before every write of this and all earlier turns is durable.
 */
export class Outbox {
  readonly #ports: OutboxPorts;
  #turn: Turn;
  #scheduled = false;
  /** Whether the closing of the turn that gathers is on its way. */
  #armed = false;
  #closedAtMs = Number.NEGATIVE_INFINITY;
  #underWay = 0;
  #failed = false;
  /** Resolves when everything closed so far has been sent. */
  #tail: Promise<void> = Promise.resolve();
  /** Resolves when everything closed so far has been handed to the database, in order. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(ports: OutboxPorts) {
    this.#ports = ports;
    this.#turn = newTurn(ports.network.set.epoch);
  }

  /** The batch of the turn that gathers now. */
  writes(): WriteBatch {
    this.#schedule();
    return this.#turn.writes;
  }

  say(outgoing: Outgoing): void {
    this.#turn.outgoing.push(outgoing);
    this.#schedule();
  }

  /** Sends unsigned, in its place among the turns. */
  tell(lane: Lane, to: Receivers, frame: Frame): void {
    this.#turn.unsigned.push({ lane, to, frame });
    this.#schedule();
  }

  /** Calls back when everything gathered so far is durable. */
  whenDurable(callback: () => void): void {
    this.#turn.onDurable.push(callback);
    this.#schedule();
  }

  /** There is something to gather in `beforeClose`. */
  wake(): void {
    this.#schedule();
  }

  /**
   * The next epoch begins. What the old one's engine still wanted to say in the turn that gathers is not said: its votes
   * count for nothing any more. Turns under way leave as they are, under their own epoch's name.
   */
  onEpoch(): void {
    this.#turn.epoch = this.#ports.network.set.epoch;
    const isValidator = this.#ports.self() !== null;
    this.#turn.outgoing = this.#turn.outgoing.filter(({ lane }) => isValidator && lane === "dissemination");
    // Whom the set leaves has nothing to say any more, also of others' statements.
    this.#turn.unsigned = this.#turn.unsigned.filter(({ frame }) => isValidator || frame.kind === "status");
  }

  /** Closes the turn and waits until all has left. */
  async drain(): Promise<void> {
    while (!this.#failed && (this.#scheduled || this.#underWay > 0)) await this.#tail.then(() => nextTurn(this.#ports));
  }

  #schedule(): void {
    if (this.#scheduled || this.#failed) return;
    this.#scheduled = true;
    this.#closeSoon();
  }

  /** At once after a quiet time, else when the interval since the last turn is over. */
  #closeSoon(): void {
    if (!this.#scheduled || this.#armed || this.#underWay >= TURNS_UNDER_WAY_MAX || this.#failed) return;
    this.#armed = true;
    const { dag, network } = this.#ports;
    const dueMs = this.#closedAtMs + (dag === null ? TURN_INTERVAL_MS : turnIntervalMs(network.set.size));
    const close = (): void => {
      this.#armed = false;
      this.#close();
    };
    if (dueMs <= this.#ports.clock.monotonicMs()) this.#ports.clock.defer(close);
    else this.#ports.clock.setTimer(dueMs, close);
  }

  #close(): void {
    if (!this.#scheduled || this.#underWay >= TURNS_UNDER_WAY_MAX || this.#failed) return;
    this.#closedAtMs = this.#ports.clock.monotonicMs();
    this.#ports.beforeClose();
    const turn = this.#turn;
    turn.signer = this.#ports.self();
    this.#turn = newTurn(turn.epoch);
    this.#scheduled = false;
    this.#underWay += 1;
    const before = this.#tail;
    const written = this.#writing.then(async () => await this.#sealAndWrite(turn));
    // The database keeps the order of its calls, so the next turn may be signed while this one is written.
    this.#writing = written.then(() => undefined);
    this.#tail = Promise.all([written, before])
      .then(async ([{ durable, sealed }]) => {
        await durable;
        this.#leave(turn, sealed);
      })
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#underWay -= 1;
        this.#closeSoon();
      });
  }

  async #sealAndWrite(turn: Turn): Promise<{ readonly durable: Promise<void>; readonly sealed: SealedTurn | null }> {
    const begin = this.#ports.clock.monotonicMs();
    const { outgoing } = turn;
    const sealed = outgoing.length === 0 ? null : await this.#seal(turn.signer, outgoing);
    if (sealed !== null) {
      outgoing.forEach(({ onSealed }, index) => {
        onSealed?.(proofIn(sealed.seal, sealed.tree, index), turn.writes);
      });
    }
    const count = turn.writes.count;
    const durable = count === 0 ? Promise.resolve() : this.#ports.database.write(turn.writes.finish());
    const counted = durable.then(() => {
      const durationMs = this.#ports.clock.monotonicMs() - begin;
      this.#ports.onTurn({ statements: outgoing.length, writes: count, durationMs });
    });
    // Handled where it is awaited; a rejection must not count as unhandled before.
    counted.catch(() => undefined);
    return { durable: counted, sealed };
  }

  async #seal(self: ValidatorIndex | null, outgoing: readonly Outgoing[]): Promise<SealedTurn> {
    const { network, signer } = this.#ports;
    if (self === null) throw new Error("an observer has nothing to sign");
    const tree = new MerkleTree(outgoing.map(({ leaf }) => leaf));
    const message = sealedBytes(network, self, tree.leafCount, tree.root);
    return { seal: { signer: self, leafCount: tree.leafCount, signature: await signer.sign(message) }, tree };
  }

  #leave(turn: Turn, sealed: SealedTurn | null): void {
    if (this.#failed) return;
    if (sealed !== null)
      for (const addressed of sealedFrames(sealed, turn.epoch, turn.outgoing)) this.#ports.send(addressed);
    for (const addressed of turn.unsigned) this.#ports.send(addressed);
    for (const callback of turn.onDurable) callback();
    if (sealed === null) return;
    turn.outgoing.forEach(({ onSent }, index) => {
      onSent?.(proofIn(sealed.seal, sealed.tree, index));
    });
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#ports.onFailure(error);
  }
}

function newTurn(epoch: Epoch): Turn {
  return { epoch, signer: null, writes: new WriteBatch(), outgoing: [], unsigned: [], onDurable: [] };
}

function nextTurn(ports: OutboxPorts): Promise<void> {
  return new Promise((resolve) => {
    ports.clock.defer(resolve);
  });
}
