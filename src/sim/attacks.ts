import type { Effect, Engine, EngineEvent, EngineStatus } from "../consensus/engine.ts";
import type { NewView, PbftMessage, PrePrepare, ViewChange } from "../consensus/pbft/messages.ts";
import { statementOf } from "../consensus/pbft/statements.ts";
import { batchDigest } from "../dag/batch.ts";
import type { Lanes } from "../dag/lanes.ts";
import { BATCH_BUNDLES_MAX } from "../dag/limits.ts";
import type { Hash } from "../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import type { Proof, Signed } from "../membership/seal.ts";
import type { Statement } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { AttackName } from "./plan.ts";
import type { Random } from "./random.ts";

/** What an attacker may use: its own key and nobody else's, and all that its own engine knows. */
export interface Scene {
  readonly random: Random;
  readonly network: NetworkContext;
  readonly self: ValidatorIndex;
  readonly lanes: Lanes;
  status(): EngineStatus;
  wallMs(): number;
  /** This validator's own signature under a statement. */
  prove(statement: Statement): Proof;
  /** False when so much was said that two liars might answer each other for ever. */
  mayLie(): boolean;
}

type PbftEffect = Effect<PbftMessage>;
type Edit = (effect: PbftEffect, event: EngineEvent<PbftMessage>) => readonly PbftEffect[];

/** A Byzantine validator is a correct engine whose effects somebody edits (relab's decorators). */
export function lying(engine: Engine<PbftMessage>, attacks: readonly AttackName[], scene: Scene): Engine<PbftMessage> {
  const liar = attacks.reduce((inner, name) => {
    const editor = EDITORS[name];
    return editor === undefined ? inner : edited(inner, editor(scene));
  }, engine);
  return {
    name: liar.name,
    dag: liar.dag,
    wire: liar.wire,
    step: (event) => liar.step(event).filter((effect) => !isEnd(effect)),
    screen: (from, message) => liar.screen(from, message),
    status: () => liar.status(),
    batchOf: (digest) => liar.batchOf(digest),
  };
}

/** An engine each of whose effects somebody may replace, at the end of each step by more of them. */
export function edited<M>(
  engine: Engine<M>,
  edit: (effect: Effect<M>, event: EngineEvent<M>) => readonly Effect<M>[],
): Engine<M> {
  return {
    name: engine.name,
    dag: engine.dag,
    wire: engine.wire,
    step: (event) => {
      const effects = engine.step(event).flatMap((effect) => edit(effect, event));
      return [...effects, ...edit(END, event)];
    },
    screen: (from, message) => engine.screen(from, message),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
}

const END: Extract<PbftEffect, { readonly kind: "trace" }> = {
  kind: "trace",
  trace: { phase: "discard", view: 0 as View, sequence: 0 as Sequence, detail: "end" },
};

/** Edits add what they have to say at the end of a step, in place of this mark. */
export function isEnd<M>(effect: Effect<M>): boolean {
  return effect.kind === "trace" && effect.trace.detail === "end";
}

/** Attacks on what the engine says; those on frames and answers are in `lying-transport.ts`. */
const EDITORS: Readonly<Partial<Record<AttackName, (scene: Scene) => Edit>>> = {
  equivocate: (scene) => (effect) => {
    if (effect.kind !== "broadcast") return [effect];
    const { message } = effect;
    const { random } = scene;
    if (message.kind === "pre-prepare" && message.batch !== null) {
      return toEach(scene, () => random.pick([message, otherProposal(message), otherProposal(message, 2)]));
    }
    if (message.kind === "prepare" || message.kind === "commit") {
      const lie = { ...message, digest: batchDigest({ timestampMs: 5, bundles: [] }) };
      return toEach(scene, () => (random.chance(0.5) ? message : lie));
    }
    return [effect];
  },
  withhold: (scene) => {
    const { random } = scene;
    const victims = others(scene).filter(() => random.chance(0.5));
    return (effect) => {
      if (effect.kind === "send" && victims.includes(effect.to)) return [];
      if (effect.kind !== "broadcast") return [effect];
      const { message } = effect;
      return toEach(scene, (to) => (!victims.includes(to) && random.chance(0.9) ? message : null));
    };
  },
  "vote-for-everything": (scene) => (effect, event) => {
    if (!isEnd(effect) || event.kind !== "message" || scene.random.chance(0.3)) return [effect];
    const { message, proof } = event.signed;
    // What it says itself is no reason to say it again; nor what another of its kind answers.
    if (proof.seal.signer === scene.self || !scene.mayLie()) return [effect];
    if (message.kind !== "pre-prepare" && message.kind !== "prepare") return [effect];
    const { view, sequence, digest } = message;
    return [
      effect,
      { kind: "broadcast", message: { kind: "prepare", view, sequence, digest } },
      { kind: "broadcast", message: { kind: "commit", view, sequence, digest } },
    ];
  },
  "forget-certificates": (scene) => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "view-change") return [effect];
    const { message } = effect;
    const { random } = scene;
    const forgetful: ViewChange = { ...message, prepared: random.chance(0.5) ? [] : message.prepared.slice(1) };
    const further: ViewChange = { ...message, view: (message.view + random.between(1, 3)) as View };
    const versions = [message, forgetful, { ...forgetful, stable: null, prepared: [] }, further];
    return toEach(scene, () => random.pick(versions));
  },
  "two-new-views": (scene) => twoNewViews(scene, false),
  "forge-new-view": (scene) => twoNewViews(scene, true),
  "forge-certificate": () => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "view-change") return [effect];
    return [{ kind: "broadcast", message: forgedLocks(effect.message) }];
  },
  "wrong-state": (scene) => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "checkpoint" || scene.random.chance(0.2))
      return [effect];
    const stateDigest = batchDigest({ timestampMs: effect.message.sequence, bundles: [] });
    return [{ kind: "broadcast", message: { ...effect.message, stateDigest } }];
  },
  "view-change-spam": (scene) => {
    let wanted = 0;
    return (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || scene.random.chance(0.9) || !scene.mayLie()) return [effect];
      wanted = Math.max(wanted, scene.status().view) + scene.random.between(1, 2);
      const message: ViewChange = { kind: "view-change", view: wanted as View, stable: null, prepared: [] };
      return [effect, { kind: "broadcast", message }];
    };
  },
  lie: ({ random }) => {
    return (effect) => {
      if (effect.kind !== "status") return [effect];
      const { status } = effect;
      const executed = random.pick([0, status.executed, status.executed + 1, status.executed + 1_000]) as Sequence;
      const view = random.pick([0, status.view, status.view + 1, status.view + 9]) as View;
      return [{ ...effect, status: { ...status, view, executed, active: random.chance(0.5) } }];
    };
  },
  replay: (scene) => {
    const { random } = scene;
    const kept: Signed<PbftMessage>[] = [];
    return (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || !scene.mayLie()) return [effect];
      if (kept.length < 400) kept.push(event.signed);
      else kept[random.below(kept.length)] = event.signed;
      if (random.chance(0.7)) return [effect];
      return [effect, { kind: "relay", to: random.pick(others(scene)), signed: random.pick(kept) }];
    };
  },
  censor: (scene) => {
    const victim = scene.random.pick(scene.network.set.indices());
    return (effect) => {
      if (effect.kind !== "broadcast" || effect.message.kind !== "pre-prepare") return [effect];
      const { batch } = effect.message;
      if (batch === null) return [effect];
      const bundles = batch.bundles.filter((digest) => scene.lanes.get(digest)?.creator !== victim);
      const allowed = { ...batch, bundles };
      return [{ kind: "broadcast", message: { ...effect.message, batch: allowed, digest: batchDigest(allowed) } }];
    };
  },
  "propose-anywhere": (scene) => (effect, event) => {
    const { random, self } = scene;
    if (!isEnd(effect) || event.kind !== "message" || random.chance(0.8) || !scene.mayLie()) return [effect];
    const { view, leader, executed } = scene.status();
    if (leader !== self) return [effect];
    // Near its place, or far above everybody's window.
    const distance = random.chance(0.7) ? random.between(-8, 8) : random.between(30, 60);
    const sequence = Math.max(1, executed + distance) as Sequence;
    const batch = { timestampMs: scene.wallMs() + random.below(3), bundles: [] };
    const message: PbftMessage = { kind: "pre-prepare", view, sequence, digest: batchDigest(batch), batch };
    return [effect, ...toEach(scene, () => (random.chance(0.7) ? message : null))];
  },
  /** Leads just fast enough to look alive: proposals with nothing in them. */
  crawl: (scene) => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "pre-prepare" || effect.message.batch === null)
      return [effect];
    const empty = { timestampMs: scene.wallMs(), bundles: [] };
    return [{ kind: "broadcast", message: { ...effect.message, batch: empty, digest: batchDigest(empty) } }];
  },
  /** Names content twice, and that of its last proposal once more: execution has to pass it over. */
  repeat: () => {
    let last: readonly Hash[] = [];
    return (effect) => {
      if (effect.kind !== "broadcast" || effect.message.kind !== "pre-prepare") return [effect];
      const { batch } = effect.message;
      if (batch === null || batch.bundles.length === 0) return [effect];
      const bundles = [...batch.bundles, ...last, ...batch.bundles].slice(0, BATCH_BUNDLES_MAX);
      last = batch.bundles;
      const repeated = { ...batch, bundles };
      return [{ kind: "broadcast", message: { ...effect.message, batch: repeated, digest: batchDigest(repeated) } }];
    };
  },
  /** One digest for all, as signed, and another content for some: the content lies outside the signature. */
  "wrong-content": (scene) => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "pre-prepare") return [effect];
    const { message } = effect;
    const { batch } = message;
    if (batch === null) return [effect];
    const other = { ...message, batch: { ...batch, bundles: [...batch.bundles].reverse().slice(1) } };
    return toEach(scene, (to) => (to !== scene.self && scene.random.chance(0.4) ? other : message));
  },
};

/** A leader-to-be that shows different halves different quorums of view changes, its own part rewritten or all forged. */
function twoNewViews(scene: Scene, forged: boolean): Edit {
  const { random, network, self } = scene;
  const seen = new Map<ValidatorIndex, Signed<ViewChange>>();
  return (effect, event) => {
    if (event.kind === "message" && event.signed.message.kind === "view-change") {
      seen.set(event.signed.proof.seal.signer, event.signed as Signed<ViewChange>);
    }
    if (effect.kind !== "broadcast" || effect.message.kind !== "new-view") return [effect];
    const { message } = effect;
    const versions: NewView[] = [message];
    if (forged) versions.push(forgedNewView(message));
    const own: ViewChange = { kind: "view-change", view: message.view, stable: null, prepared: [] };
    const rest = [...seen.values()].filter(
      (signed) => signed.message.view === message.view && signed.proof.seal.signer !== self,
    );
    if (rest.length >= network.set.quorum - 1) {
      const picked = random.shuffled(rest).slice(0, network.set.quorum - 1);
      versions.push({ ...message, viewChanges: [...picked, { message: own, proof: scene.prove(statementOf(own)) }] });
    }
    return toEach(scene, () => random.pick(versions));
  };
}

/** What others signed, rewritten: every place that they prepared holds something else. */
function forgedNewView(message: NewView): NewView {
  return {
    ...message,
    viewChanges: message.viewChanges.map(({ proof, message: inner }) => ({ proof, message: forgedLocks(inner) })),
  };
}

/** Certificates with others' signatures under another digest. */
function forgedLocks(message: ViewChange): ViewChange {
  const digest = batchDigest({ timestampMs: 6, bundles: [] });
  return { ...message, prepared: message.prepared.map((certificate) => ({ ...certificate, digest })) };
}

function otherProposal(message: PrePrepare, later = 1): PrePrepare {
  const { batch } = message;
  if (batch === null) return message;
  const other = {
    ...batch,
    timestampMs: batch.timestampMs + later,
    bundles: later === 1 ? batch.bundles : [...batch.bundles].reverse(),
  };
  return { ...message, batch: other, digest: batchDigest(other) };
}

/** One message for each validator, itself included; null for none. */
function toEach({ network }: Scene, messageFor: (to: ValidatorIndex) => PbftMessage | null): readonly PbftEffect[] {
  return network.set.indices().flatMap((to): PbftEffect[] => {
    const message = messageFor(to);
    return message === null ? [] : [{ kind: "send", to, message }];
  });
}

function others({ network, self }: Scene): readonly ValidatorIndex[] {
  return network.set.indices().filter((index) => index !== self);
}
