import { decode } from "../../src/codec/codec.ts";
import type {
  CommittedSlot,
  Effect,
  Engine,
  EngineEvent,
  PeerStatus,
  TimerName,
  Verified,
} from "../../src/consensus/engine.ts";
import { messageCodec } from "../../src/consensus/pbft/codec.ts";
import { restore } from "../../src/consensus/pbft/durable.ts";
import { PbftEngine } from "../../src/consensus/pbft/engine.ts";
import type { Windows } from "../../src/consensus/pbft/limits.ts";
import type {
  Commit,
  NewView,
  PbftMessage,
  Prepare,
  PreparedCertificate,
  PrePrepare,
  ViewChange,
} from "../../src/consensus/pbft/messages.ts";
import { statementOf } from "../../src/consensus/pbft/statements.ts";
import { type Batch, batchDigest } from "../../src/dag/batch.ts";
import { type HeldBundle, holdBundle } from "../../src/dag/bundle.ts";
import { Lanes } from "../../src/dag/lanes.ts";
import { present } from "../../src/lib/assert.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Epoch, Nonce, Sequence, ValidatorIndex, View } from "../../src/membership/ids.ts";
import type { Proof, Signed } from "../../src/membership/seal.ts";
import { type Phase, type Statement, statementDigest } from "../../src/membership/statement.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";
import { execute, type ExecutionInput, executionStateDigest } from "../../src/replication/executor.ts";
import { Disk } from "./disk.ts";
import { TIMEOUTS } from "./timing.ts";
import { membershipOf, allHold, networkOf, prove } from "./signing.ts";

type PbftEffect = Effect<PbftMessage>;

export const WALL_MS = 1_700_000_000_000;

export interface SoloOptions {
  readonly count?: number;
  /** Null for an observer. */
  readonly self?: number | null;
  readonly windows?: Windows;
}

/**
 * One engine whose whole world the test plays: it signs for every validator and chooses every event. What the engine says
 * comes back to it, what it finalizes is executed, and its rows are kept for a restart.
 */
export class Solo {
  readonly network: NetworkContext;
  readonly self: ValidatorIndex | null;
  readonly disk: Disk;
  engine: Engine<PbftMessage>;
  lanes: Lanes;
  nowMs = 0;
  /** Everything since the last `take`. */
  effects: PbftEffect[] = [];
  /** Whether own messages come back; off, to look at a replica whose own messages are late. */
  handsBack = true;
  executes = true;
  readonly timers: Map<TimerName, number> = new Map();
  readonly #options: SoloOptions;

  constructor(options: SoloOptions = {}) {
    const { count = 4, self = 1 } = options;
    this.#options = options;
    this.network = networkOf(count);
    this.self = self as ValidatorIndex | null;
    this.disk = new Disk(this.network);
    this.lanes = new Lanes(this.network, this.disk.execution.lanes);
    this.engine = this.#makeEngine();
    this.feed({ kind: "start", nowMs: 0 });
    this.take();
  }

  /** Comes back from what is on the disk. */
  restart(): readonly PbftEffect[] {
    this.lanes = new Lanes(this.network, this.disk.execution.lanes);
    this.engine = this.#makeEngine();
    this.timers.clear();
    this.take();
    this.feed({ kind: "bundles", ...this.now(), refs: this.disk.waiting().map(({ held }) => held.ref) });
    this.feed({ kind: "start", nowMs: this.nowMs });
    return this.take();
  }

  now(): { readonly nowMs: number; readonly wallMs: number } {
    return { nowMs: this.nowMs, wallMs: WALL_MS + Math.floor(this.nowMs) };
  }

  feed(event: EngineEvent<PbftMessage>): void {
    const queue = [event];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      for (const effect of this.engine.step(next)) queue.push(...this.#perform(effect));
    }
  }

  take(): readonly PbftEffect[] {
    const { effects } = this;
    this.effects = [];
    return effects;
  }

  /** A message as it arrives: screened, its signatures checked. Answers what happened to it. */
  deliver(from: number, message: PbftMessage): "accepted" | "screened" | "malformed" | "invalid" {
    return this.deliverSigned(this.sign(from, message));
  }

  deliverSigned(signed: Signed<PbftMessage>): "accepted" | "screened" | "malformed" | "invalid" {
    const { wire } = this.engine;
    const message = decode(messageCodec, wire.encode(signed.message));
    if (this.engine.screen(signed.proof.seal.signer, message).kind !== "accept") return "screened";
    const inner = wire.obligationsOf(message);
    if (inner === null) return "malformed";
    const leaf = statementDigest(this.network, wire.statementOf(message));
    if (!allHold(this.network, [{ leaf, proof: signed.proof }, ...inner])) return "invalid";
    this.feed({
      kind: "message",
      ...this.now(),
      signed: { message, proof: signed.proof } as Verified<Signed<PbftMessage>>,
    });
    return "accepted";
  }

  status(from: number, status: Partial<Record<keyof PeerStatus, number | boolean>>): void {
    const full = { view: 0, active: true, executed: 0, stable: 0, ...status } as unknown as PeerStatus;
    this.feed({ kind: "peer-status", nowMs: this.nowMs, from: from as ValidatorIndex, status: full });
  }

  /** Moves the clock, and fires every timer that falls due on the way. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const due = [...this.timers].sort(([, left], [, right]) => left - right)[0];
      if (due === undefined || due[1] > untilMs) break;
      this.timers.delete(due[0]);
      this.nowMs = Math.max(this.nowMs, due[1]);
      this.feed({ kind: "timer", ...this.now(), name: due[0] });
    }
    this.nowMs = untilMs;
  }

  executionInput(): ExecutionInput {
    return {
      membership: membershipOf(this.network),
      bundleOf: (digest) => present(this.lanes.get(digest), "a bundle"),
      commandsOf: () => [],
    };
  }

  bundle(creator: number, firstNonce = 1, previous: Hash = this.network.genesis, text = "payload"): HeldBundle {
    return holdBundle(this.network, {
      creator: creator as ValidatorIndex,
      term: 0 as Epoch,
      purpose: "application",
      firstNonce: firstNonce as Nonce,
      timestampMs: WALL_MS,
      parents: [previous],
      payloads: [new TextEncoder().encode(`${text} ${creator} ${firstNonce}`)],
    });
  }

  /** A lane of that many bundles, one vertex each. */
  lane(creator: number, count: number): readonly HeldBundle[] {
    const bundles: HeldBundle[] = [];
    let previous = this.network.genesis;
    for (let nonce = 1; nonce <= count; nonce++) {
      const held = this.bundle(creator, nonce, previous);
      bundles.push(held);
      previous = held.ref.tip;
    }
    return bundles;
  }

  hold(...bundles: readonly HeldBundle[]): void {
    for (const held of bundles) {
      const body = new Uint8Array(0);
      this.disk.bundles.set(held.ref.digest, { held, body, proof: proofBy(this.network, 0, held.ref.digest) });
    }
    this.feed({ kind: "bundles", ...this.now(), refs: bundles.map(({ ref }) => ref) });
  }

  sign<M extends PbftMessage>(from: number, message: M): Signed<M> {
    return { message, proof: this.proof(from, statementOf(message)) };
  }

  proof(from: number, statement: Statement, network: NetworkContext = this.network): Proof {
    return proofBy(network, from, statementDigest(network, statement));
  }

  /** A certificate that place `sequence` prepared in `view`. */
  certificate(view: number, sequence: number, digest: Hash, signers?: readonly number[]): PreparedCertificate {
    const leader = view % this.network.set.size;
    const others = this.network.set.indices().filter((index) => index !== leader);
    const by = signers ?? others.slice(0, this.network.set.quorum - 1);
    const about = (phase: Phase): Statement => ({ phase, view, sequence, digest });
    return {
      view: view as View,
      sequence: sequence as Sequence,
      digest,
      prePrepare: this.proof(leader, about("pre-prepare")),
      prepares: by.map((signer) => this.proof(signer, about("prepare"))),
    };
  }

  committed(view: number, sequence: number, batch: Batch, signers: readonly number[] = [0, 1, 2]): CommittedSlot {
    const digest = batchDigest(batch);
    const statement: Statement = { phase: "commit", view, sequence, digest };
    const proofs = signers.map((signer) => this.proof(signer, statement));
    return {
      sequence: sequence as Sequence,
      batch,
      certificate: { epoch: 0 as Epoch, view: view as View, digest, proofs },
    };
  }

  viewChange(
    view: number,
    prepared: readonly PreparedCertificate[] = [],
    stable: ViewChange["stable"] = null,
  ): ViewChange {
    return { kind: "view-change", view: view as View, stable, prepared };
  }

  /** The new-view message of `view`'s leader over view changes that these validators signed. */
  newView(view: number, parts: readonly (readonly [number, ViewChange])[]): NewView {
    return {
      kind: "new-view",
      view: view as View,
      viewChanges: parts.map(([from, message]) => this.sign(from, message)),
    };
  }

  said(kind: PbftMessage["kind"]): readonly PbftMessage[] {
    return this.effects
      .filter((effect) => effect.kind === "broadcast" || effect.kind === "send")
      .map(({ message }) => message)
      .filter((message) => message.kind === kind);
  }

  of<K extends PbftEffect["kind"]>(kind: K): readonly Extract<PbftEffect, { kind: K }>[] {
    return this.effects.filter((effect): effect is Extract<PbftEffect, { kind: K }> => effect.kind === kind);
  }

  #makeEngine(): Engine<PbftMessage> {
    const { windows } = this.#options;
    return new PbftEngine({
      network: this.network,
      self: this.self,
      lanes: this.lanes,
      timeouts: TIMEOUTS,
      executed: this.disk.execution.sequence,
      restored: restore(this.disk.engineRows()),
      ...(windows === undefined ? {} : { windows }),
    });
  }

  #perform(effect: PbftEffect): readonly EngineEvent<PbftMessage>[] {
    this.effects.push(effect);
    switch (effect.kind) {
      case "persist":
        this.disk.write(effect.writes);
        return [];
      case "set-timer":
        this.timers.set(effect.name, effect.atMs);
        return [];
      case "cancel-timer":
        this.timers.delete(effect.name);
        return [];
      case "broadcast": {
        if (!this.handsBack || this.self === null) return [];
        const signed = this.sign(this.self, effect.message) as Verified<Signed<PbftMessage>>;
        return [{ kind: "message", ...this.now(), signed }];
      }
      case "finalize": {
        if (!this.executes) return [];
        const { state } = execute(this.network, this.disk.execution, effect.slot.batch, this.executionInput());
        this.disk.record(effect.slot, state);
        const { sequence } = effect.slot;
        return [
          { kind: "executed", ...this.now(), sequence, stateDigest: executionStateDigest(state), lanes: state.lanes },
        ];
      }
      default:
        return [];
    }
  }
}

export function batchOf(...bundles: readonly HeldBundle[]): Batch {
  return { timestampMs: WALL_MS, bundles: bundles.map(({ ref }) => ref.digest) };
}

export function prePrepare(view: number, sequence: number, batch: Batch): PrePrepare {
  return { kind: "pre-prepare", view: view as View, sequence: sequence as Sequence, digest: batchDigest(batch), batch };
}

export function prepare(view: number, sequence: number, digest: Hash): Prepare {
  return { kind: "prepare", view: view as View, sequence: sequence as Sequence, digest };
}

export function commit(view: number, sequence: number, digest: Hash): Commit {
  return { kind: "commit", view: view as View, sequence: sequence as Sequence, digest };
}

function proofBy(network: NetworkContext, from: number, leaf: Hash): Proof {
  return present(prove(network, from as ValidatorIndex, [leaf])[0], "a proof");
}
