import { decode } from "../codec/codec.ts";
import { isAvalancheBytes } from "../consensus/avalanche/messages.ts";
import type { EngineEvent, EngineStatus } from "../consensus/engine.ts";
import { messageCodec } from "../consensus/pbft/codec.ts";
import { rowOfVote, voteOfRow } from "../consensus/pbft/durable.ts";
import type { PbftMessage, ViewChange } from "../consensus/pbft/messages.ts";
import { statementOf } from "../consensus/pbft/statements.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, Sequence } from "../membership/ids.ts";
import type { NodeMessage } from "../node/engines.ts";
import type { SealedFrame } from "../node/wire.ts";
import { textOf, Violation } from "./violation.ts";
import type { DurableRow, VoteRules } from "./vote-rules.ts";

/** What one correct validator said in all its lives, remembered from outside. */
interface Witness {
  /** Digest by epoch, phase, view and sequence of every vote that left. */
  readonly said: Map<string, Hash>;
  /** The highest view in which it said commit, by sequence. */
  readonly committed: Map<Sequence, { readonly view: number; readonly digest: Hash }>;
  /** The highest view that it asked for. */
  wanted: number;
  /** The highest view that it asked for in an earlier turn. */
  promised: number;
  /** What it committed to in the turn that spoke last. */
  readonly turnCommits: { readonly sequence: Sequence; readonly view: number; readonly digest: Hash }[];
  /** The signature of the turn that spoke last. */
  turn: string;
  view: number;
  executed: number;
  /** h, as its engine said last. */
  stable: number;
  /** The last one in which it spoke. */
  epoch: Epoch;
}

/** PBFT's own promises (Castro & Liskov 1999, §4): one word for each view and sequence, locks, windows, views that grow. */
export class PbftRules implements VoteRules {
  readonly #witnesses = new Map<number, Witness>();
  /** How far above its stable checkpoint a replica votes. */
  readonly #receiveWindow: number;
  checks = 0;

  constructor(receiveWindow: number) {
    this.#receiveWindow = receiveWindow;
  }

  onStart(place: number, executed: number): void {
    const witness = this.#of(place);
    witness.view = 0;
    witness.executed = executed;
  }

  onEngine(place: number): void {
    this.#of(place).view = 0;
  }

  /** What it said is known here still. */
  onDiskLost(): void {}

  onStep(place: number, event: EngineEvent<NodeMessage>, status: EngineStatus): void {
    const witness = this.#of(place);
    this.checks += 1;
    if (status.view < witness.view)
      throw new Violation(
        "view-monotone",
        `node ${place} went from view ${witness.view} to ${status.view} by ${event.kind}`,
      );
    witness.view = status.view;
    witness.stable = status.stable;
    if (event.kind === "executed") witness.executed = event.sequence;
  }

  /** What left says it all. */
  onEffect(): void {}

  onSent(place: number, frame: SealedFrame, row: DurableRow): void {
    const witness = this.#of(place);
    if (frame.epoch < witness.epoch) {
      const after = `after it spoke in epoch ${witness.epoch}`;
      throw new Violation("no-contradiction", `node ${place} speaks in epoch ${frame.epoch} ${after}`);
    }
    if (frame.epoch > witness.epoch) {
      witness.epoch = frame.epoch;
      witness.wanted = 0;
      witness.promised = 0;
      witness.committed.clear();
      witness.turnCommits.length = 0;
    }
    const turn = textOf(frame.seal.signature.mlDsa);
    // What one turn says it says at once: its frames to all go before those to some.
    if (turn !== witness.turn) endTurn(witness);
    witness.turn = turn;
    for (const { body } of frame.items) {
      if (!isAvalancheBytes(body)) this.#onSaid(place, decode(messageCodec, body), row);
    }
  }

  #onSaid(place: number, message: PbftMessage, row: DurableRow): void {
    const witness = this.#of(place);
    const { phase, view, sequence, digest } = statementOf(message);
    const key = `${witness.epoch}/${phase}/${view}/${sequence}`;
    this.checks += 1;
    const before = witness.said.get(key);
    if (before !== undefined && before !== digest) {
      throw new Violation(
        "no-contradiction",
        `node ${place} said ${key} twice: ${short(before)}, then ${short(digest)}`,
      );
    }
    witness.said.set(key, digest);
    if (message.kind === "view-change") {
      // What it said before it may say again, to a peer that missed it.
      if (before === undefined) this.#checkLocks(place, witness, message);
      witness.wanted = Math.max(witness.wanted, view);
    }
    if ((phase === "commit" || phase === "prepare" || phase === "pre-prepare") && view < witness.promised) {
      throw new Violation(
        "no-contradiction",
        `node ${place} said ${key} though it had asked for view ${witness.promised}`,
      );
    }
    if ((phase === "commit" || phase === "prepare") && sequence > witness.stable + this.#receiveWindow) {
      throw new Violation("watermarks", `node ${place} said ${key}, its stable checkpoint is ${witness.stable}`);
    }
    if (before === undefined) this.#checkDurable(place, message, row);
    if (message.kind === "commit") {
      witness.turnCommits.push({ sequence: message.sequence, view, digest });
    }
  }

  /** §4.4: a view change carries a prepared certificate for every place that this replica committed to above its h. */
  #checkLocks(place: number, witness: Witness, message: ViewChange): void {
    const low = message.stable?.sequence ?? 0;
    const carried = new Map(message.prepared.map((certificate) => [certificate.sequence, certificate]));
    for (const [sequence, { view, digest }] of witness.committed) {
      // A turn's frames to one may leave before its frame to all: what was locked in that view already came after.
      if (sequence <= low || view >= message.view) continue;
      const certificate = carried.get(sequence);
      if (certificate === undefined || certificate.view < view) {
        throw new Violation(
          "lock-respected",
          `node ${place} asks for view ${message.view} without its lock on ${sequence}`,
        );
      }
      if (certificate.view === view && certificate.digest !== digest) {
        throw new Violation(
          "lock-respected",
          `node ${place} asks for view ${message.view} with another lock on ${sequence}`,
        );
      }
    }
  }

  /** What a vote rests on is on the disk at the moment at which the vote leaves. */
  #checkDurable(place: number, message: PbftMessage, row: DurableRow): void {
    if (message.kind !== "prepare" && message.kind !== "commit" && message.kind !== "pre-prepare") return;
    const found = row(this.#of(place).epoch, rowOfVote(message.kind, message.sequence));
    // What a stable checkpoint covers is forgotten on purpose.
    if (found === undefined && this.#of(place).executed >= message.sequence) return;
    if (found !== undefined) {
      const { view, digest } = voteOfRow(message.kind, found);
      if (view > message.view || (view === message.view && digest === message.digest)) return;
    }
    throw new Violation(
      "durable-before-visible",
      `node ${place} said ${message.kind} for ${message.sequence} before that was on its disk`,
    );
  }

  #of(place: number): Witness {
    const known = this.#witnesses.get(place);
    if (known !== undefined) return known;
    const witness: Witness = {
      said: new Map(),
      committed: new Map(),
      wanted: 0,
      promised: 0,
      turnCommits: [],
      turn: "",
      view: 0,
      executed: 0,
      stable: 0,
      epoch: 0 as Epoch,
    };
    this.#witnesses.set(place, witness);
    return witness;
  }
}

/** From here on what the turn before said counts as said earlier. */
function endTurn(witness: Witness): void {
  witness.promised = witness.wanted;
  for (const { sequence, view, digest } of witness.turnCommits.splice(0)) {
    const known = witness.committed.get(sequence);
    if (known === undefined || known.view <= view) witness.committed.set(sequence, { view, digest });
  }
}

function short(digest: Hash): string {
  return digest.slice(0, 8);
}
