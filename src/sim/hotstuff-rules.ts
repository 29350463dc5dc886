import { decode } from "../codec/codec.ts";
import type { Effect, EngineEvent, EngineStatus } from "../consensus/engine.ts";
import { messageCodec } from "../consensus/hotstuff/codec.ts";
import { type VoteRecord, VOTES_ROW, votesOfRow } from "../consensus/hotstuff/durable.ts";
import { RECEIVE_WINDOW } from "../consensus/hotstuff/limits.ts";
import type { Block, HotStuffMessage, QcRef } from "../consensus/hotstuff/messages.ts";
import { blockHash, statementOf } from "../consensus/hotstuff/statements.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch } from "../membership/ids.ts";
import type { HotStuffChoice } from "../node/genesis-hotstuff.ts";
import type { NodeMessage } from "../node/engines.ts";
import type { SealedFrame } from "../node/wire.ts";
import { Violation } from "./violation.ts";
import type { DurableRow, VoteRules } from "./vote-rules.ts";

/** What one correct validator said in all its lives, remembered from outside. */
interface Witness {
  /** Digest by epoch, phase, view and sequence of all that left. */
  readonly said: Map<string, Hash>;
  /** Blocks that it voted for. */
  readonly decided: Set<Hash>;
  /** The highest view that it told somebody to have given up, in `epoch`. */
  gaveUp: number;
  /** The highest view of a lock that its disk had when it spoke, in `epoch`. */
  locked: number;
  view: number;
  /** As its engine said last. */
  stable: number;
  engineEpoch: Epoch;
  /** The last one in which it spoke. */
  epoch: Epoch;
}

/**
 * HotStuff's own promises (Yin et al. 2019, §5; `consensus/hotstuff`): one block and one vote in a view, none in a view that
 * was given up, locks that votes respect, all of it on the disk before it is said, views that grow.
 */
export class HotStuffRules implements VoteRules {
  readonly #witnesses = new Map<number, Witness>();
  /** Every block that a correct node was shown, with the genesis blocks as unknown ancestors. */
  readonly #blocks = new Map<Hash, Block>();
  readonly #phases: HotStuffChoice["phases"];
  checks = 0;

  constructor({ phases }: HotStuffChoice) {
    this.#phases = phases;
  }

  onStart(place: number): void {
    this.#of(place).view = 0;
  }

  onEngine(place: number, epoch: Epoch): void {
    const witness = this.#of(place);
    witness.view = 0;
    witness.engineEpoch = epoch;
  }

  /** What it decides in views of before it keeps to itself (`StartGate`), and that it says nothing else is checked. */
  onDiskLost(place: number): void {
    const witness = this.#of(place);
    witness.locked = 0;
    witness.gaveUp = 0;
  }

  onStep(place: number, event: EngineEvent<NodeMessage>, status: EngineStatus): void {
    const witness = this.#of(place);
    this.checks += 1;
    if (status.view < witness.view) {
      const step = `from view ${witness.view} to ${status.view} by ${event.kind}`;
      throw new Violation("view-monotone", `node ${place} went ${step}`);
    }
    witness.view = status.view;
    witness.stable = status.stable;
    if (event.kind !== "message" || event.signed.message.kind !== "proposal") return;
    const { block } = event.signed.message;
    this.#blocks.set(blockHash(block), block);
  }

  onSent(place: number, frame: SealedFrame, row: DurableRow): void {
    const witness = this.#of(place);
    if (frame.epoch < witness.epoch) {
      const after = `after it spoke in epoch ${witness.epoch}`;
      throw new Violation("no-contradiction", `node ${place} speaks in epoch ${frame.epoch} ${after}`);
    }
    if (frame.epoch > witness.epoch) {
      witness.epoch = frame.epoch;
      witness.gaveUp = 0;
      witness.locked = 0;
    }
    const found = row(frame.epoch, VOTES_ROW);
    const record = found === undefined ? null : votesOfRow(found);
    if (record !== null) this.#checkGrowth(place, witness, record);
    for (const { body } of frame.items) this.#onSaid(place, decode(messageCodec, body), record);
  }

  /** A vote is decided when its row is written, with the lock of that moment. */
  onEffect(place: number, effect: Effect<NodeMessage>): void {
    if (effect.kind !== "persist") return;
    const witness = this.#of(place);
    for (const { key, value } of effect.writes) {
      if (key !== VOTES_ROW || value === null) continue;
      this.checks += 1;
      const { vote, lock } = votesOfRow(value);
      // It is written again with whatever is said next.
      if (vote === null || witness.decided.has(vote.block)) continue;
      witness.decided.add(vote.block);
      const { gaveUp } = witness;
      if (witness.engineEpoch === witness.epoch && vote.view <= gaveUp)
        throw new Violation("no-contradiction", `node ${place} votes in view ${vote.view}, it gave up view ${gaveUp}`);
      if (this.#phases === 3) this.#checkLock(place, vote.block, lock);
    }
  }

  /** What its disk says at a moment at which it speaks. */
  #checkGrowth(place: number, witness: Witness, { lock }: VoteRecord): void {
    const view = lock?.view ?? 0;
    if (view < witness.locked)
      throw new Violation("lock-respected", `node ${place} is locked on view ${view}, after view ${witness.locked}`);
    witness.locked = view;
  }

  #onSaid(place: number, message: HotStuffMessage, record: VoteRecord | null): void {
    // Asking and telling bind nobody.
    if (message.kind === "ask" || message.kind === "certificates") return;
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
    if (before === undefined) this.#checkDurable(place, message, record);
    if (message.kind === "timeout") witness.gaveUp = Math.max(witness.gaveUp, view);
    if (message.kind === "commit" && sequence > witness.stable + RECEIVE_WINDOW)
      throw new Violation("watermarks", `node ${place} said ${key}, its stable checkpoint is ${witness.stable}`);
  }

  /** What is said rests on a row that is on the disk at the moment at which it leaves. */
  #checkDurable(place: number, message: HotStuffMessage, record: VoteRecord | null): void {
    if (message.kind === "proposal" && (record?.proposedView ?? 0) >= message.block.view) return;
    if (message.kind === "timeout" && (record?.lastView ?? 0) >= message.view) return;
    if (message.kind === "vote") {
      const { view = 0, block = null } = record?.vote ?? {};
      if (view > message.view || (view === message.view && block === message.block)) return;
    }
    if (message.kind === "commit" && (record?.vote?.view ?? 0) >= message.view) return;
    if (message.kind === "checkpoint") return;
    const { phase, view } = statementOf(message);
    throw new Violation(
      "durable-before-visible",
      `node ${place} said ${phase} for view ${view} before that was on its disk`,
    );
  }

  /** Algorithm 4: locked on the grandparent of what is voted for; the vote extends the lock, or shows a certificate above it. */
  #checkLock(place: number, voted: Hash, lock: QcRef | null): void {
    const block = this.#blocks.get(voted);
    const parent = block === undefined ? undefined : this.#blocks.get(block.justify.block);
    if (block === undefined) return;
    const lockView = lock?.view ?? 0;
    if (parent !== undefined && parent.justify.view > lockView) {
      const fault = `locked on view ${lockView}, votes on a certificate upon one of view ${parent.justify.view}`;
      throw new Violation("lock-respected", `node ${place}, ${fault}`);
    }
    if (lock === null || block.justify.view > lock.view) return;
    let at: QcRef | undefined = block.justify;
    while (at !== undefined && at.view > lock.view) at = this.#blocks.get(at.block)?.justify;
    if (at === undefined || (at.view === lock.view && at.block === lock.block)) return;
    throw new Violation("lock-respected", `node ${place} votes in view ${block.view} against its lock on ${lock.view}`);
  }

  #of(place: number): Witness {
    const known = this.#witnesses.get(place);
    if (known !== undefined) return known;
    const witness: Witness = {
      said: new Map(),
      decided: new Set(),
      gaveUp: 0,
      locked: 0,
      view: 0,
      stable: 0,
      engineEpoch: 0 as Epoch,
      epoch: 0 as Epoch,
    };
    this.#witnesses.set(place, witness);
    return witness;
  }
}

function short(digest: Hash): string {
  return digest.slice(0, 8);
}
