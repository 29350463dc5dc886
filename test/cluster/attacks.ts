import type { Effect, Engine, EngineEvent } from "../../src/consensus/engine.ts";
import type { NewView, PbftMessage, PrePrepare, ViewChange } from "../../src/consensus/pbft/messages.ts";
import { batchDigest } from "../../src/dag/batch.ts";
import { present } from "../../src/lib/assert.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../src/membership/ids.ts";
import type { Signed } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";
import type { Answer } from "./asking.ts";
import type { Host } from "./host.ts";
import type { Random } from "./random.ts";
import { prove } from "./signing.ts";

export type AttackName =
  | "equivocate"
  | "withhold"
  | "vote-for-everything"
  | "forget-certificates"
  | "two-new-views"
  | "forge-new-view"
  | "lie"
  | "replay"
  | "censor"
  | "crawl"
  | "propose-anywhere";

const NAMES: readonly AttackName[] = [
  "equivocate",
  "withhold",
  "vote-for-everything",
  "forget-certificates",
  "two-new-views",
  "forge-new-view",
  "lie",
  "replay",
  "censor",
  "crawl",
  "propose-anywhere",
];

/** Attackers that answer each other go on for ever; they stop when this many packets are on their way. */
const SENT_MAX = 40_000;

type PbftEffect = Effect<PbftMessage>;
type Edit = (effect: PbftEffect, event: EngineEvent<PbftMessage>) => readonly PbftEffect[];

/** A Byzantine validator is a correct engine whose effects somebody edits: it has its own key and nobody else's. */
export interface Attack {
  readonly name: string;
  wrap(engine: Engine<PbftMessage>, host: Host): Engine<PbftMessage>;
  answer(honest: Answer | null): Answer | null;
}

/** One to three of the attacks at the same time. */
export function attackOf(random: Random, network: NetworkContext, only?: readonly AttackName[]): Attack {
  const names = only ?? random.shuffled(NAMES).slice(0, random.between(1, 3));
  return {
    name: names.join("+"),
    wrap: (engine, host) =>
      names.reduce((inner, name) => edited(inner, EDITORS[name]({ random, network, host })), engine),
    answer: (honest) => (names.includes("lie") ? lyingAnswer(random, honest) : honest),
  };
}

interface Scene {
  readonly random: Random;
  readonly network: NetworkContext;
  readonly host: Host;
}

export function edited(engine: Engine<PbftMessage>, edit: Edit): Engine<PbftMessage> {
  return {
    name: engine.name,
    wire: engine.wire,
    step: (event) => {
      const effects = engine.step(event).flatMap((effect) => edit(effect, event));
      return [
        ...effects,
        ...edit(
          { kind: "trace", trace: { phase: "discard", view: 0 as View, sequence: 0 as Sequence, detail: "end" } },
          event,
        ),
      ];
    },
    screen: (from, message) => engine.screen(from, message),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
}

/** Edits add what they have to say at the end of a step, in place of this mark. */
export function isEnd(effect: PbftEffect): boolean {
  return effect.kind === "trace" && effect.trace.detail === "end";
}

const EDITORS: Readonly<Record<AttackName, (scene: Scene) => Edit>> = {
  equivocate:
    ({ random, host }) =>
    (effect) => {
      if (effect.kind !== "broadcast") return [effect];
      const { message } = effect;
      if (message.kind === "pre-prepare" && message.batch !== null) {
        const others = [otherProposal(message), otherProposal(message, 2)];
        return everybody(host).map((to) => ({ kind: "send", to, message: random.pick([message, ...others]) }));
      }
      if (message.kind === "prepare" || message.kind === "commit") {
        const lie = { ...message, digest: batchDigest({ timestampMs: 5, bundles: [] }) };
        return everybody(host).map((to) => ({ kind: "send", to, message: random.chance(0.5) ? message : lie }));
      }
      return [effect];
    },
  withhold: ({ random, host }) => {
    const victims = host.cluster.others(host.self).filter(() => random.chance(0.5));
    return (effect) => {
      if (effect.kind === "send" && victims.includes(effect.to)) return [];
      if (effect.kind !== "broadcast") return [effect];
      const { message } = effect;
      const reached = everybody(host).filter((to) => !victims.includes(to) && random.chance(0.9));
      return reached.map((to) => ({ kind: "send", to, message }));
    };
  },
  "vote-for-everything":
    ({ random, host }) =>
    (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || random.chance(0.3)) return [effect];
      const { message, proof } = event.signed;
      // What it says itself is no reason to say it again; nor what another of its kind answers.
      if (proof.seal.signer === host.self || host.cluster.sent > SENT_MAX) return [effect];
      if (message.kind !== "pre-prepare" && message.kind !== "prepare") return [effect];
      const { view, sequence, digest } = message;
      return [
        effect,
        { kind: "broadcast", message: { kind: "prepare", view, sequence, digest } },
        { kind: "broadcast", message: { kind: "commit", view, sequence, digest } },
      ];
    },
  "forget-certificates":
    ({ random, host }) =>
    (effect) => {
      if (effect.kind !== "broadcast" || effect.message.kind !== "view-change") return [effect];
      const { message } = effect;
      const forgetful: ViewChange = { ...message, prepared: random.chance(0.5) ? [] : message.prepared.slice(1) };
      const further: ViewChange = { ...message, view: (message.view + random.between(1, 3)) as View };
      const versions = [message, forgetful, { ...forgetful, stable: null, prepared: [] }, further];
      return everybody(host).map((to) => ({ kind: "send", to, message: random.pick(versions) }));
    },
  "two-new-views": (scene) => twoNewViews(scene, false),
  "forge-new-view": (scene) => twoNewViews(scene, true),
  lie:
    ({ random }) =>
    (effect) => {
      if (effect.kind !== "status") return [effect];
      const { status } = effect;
      const executed = random.pick([0, status.executed, status.executed + 1, status.executed + 1_000]) as Sequence;
      const view = random.pick([0, status.view, status.view + 1, status.view + 9]) as View;
      return [{ ...effect, status: { ...status, view, executed, active: random.chance(0.5) } }];
    },
  replay: ({ random, host }) => {
    const kept: Signed<PbftMessage>[] = [];
    return (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || host.cluster.sent > SENT_MAX) return [effect];
      if (kept.length < 400) kept.push(event.signed);
      else kept[random.below(kept.length)] = event.signed;
      if (random.chance(0.7)) return [effect];
      return [effect, { kind: "relay", to: random.pick(host.cluster.others(host.self)), signed: random.pick(kept) }];
    };
  },
  censor: ({ random, host }) => {
    const victim = random.pick(host.cluster.network.set.indices());
    return (effect) => {
      if (effect.kind !== "broadcast" || effect.message.kind !== "pre-prepare") return [effect];
      const { batch } = effect.message;
      if (batch === null) return [effect];
      const bundles = batch.bundles.filter((digest) => host.lanes.get(digest)?.creator !== victim);
      const allowed = { ...batch, bundles };
      return [{ kind: "broadcast", message: { ...effect.message, batch: allowed, digest: batchDigest(allowed) } }];
    };
  },
  "propose-anywhere":
    ({ random, host }) =>
    (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || random.chance(0.8) || host.cluster.sent > SENT_MAX)
        return [effect];
      const { view, leader, executed } = present(host.engine, "a running engine").status();
      if (leader !== host.self) return [effect];
      const sequence = Math.max(1, executed + random.between(-8, 8)) as Sequence;
      const batch = { timestampMs: host.now().wallMs + random.below(3), bundles: [] };
      const message: PbftMessage = { kind: "pre-prepare", view, sequence, digest: batchDigest(batch), batch };
      return [
        effect,
        ...everybody(host).flatMap((to): PbftEffect[] => (random.chance(0.7) ? [{ kind: "send", to, message }] : [])),
      ];
    },
  /** Leads just fast enough to look alive: proposals with nothing in them. */
  crawl:
    ({ host }) =>
    (effect) => {
      if (effect.kind !== "broadcast" || effect.message.kind !== "pre-prepare" || effect.message.batch === null)
        return [effect];
      const empty = { timestampMs: host.now().wallMs, bundles: [] };
      return [{ kind: "broadcast", message: { ...effect.message, batch: empty, digest: batchDigest(empty) } }];
    },
};

/** A leader-to-be that shows different halves different quorums of view changes, its own part rewritten or all forged. */
function twoNewViews({ random, network, host }: Scene, forged: boolean): Edit {
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
    const [proof] = prove(network, host.self, [
      statementDigest(network, {
        phase: "view-change",
        view: message.view,
        sequence: 0,
        digest: digestOfViewChange(host, own),
      }),
    ]);
    const others = [...seen.values()].filter(
      (signed) => signed.message.view === message.view && signed.proof.seal.signer !== host.self,
    );
    if (proof !== undefined && others.length >= network.set.quorum - 1) {
      const picked = random.shuffled(others).slice(0, network.set.quorum - 1);
      versions.push({ ...message, viewChanges: [...picked, { message: own, proof }] });
    }
    return everybody(host).map((to) => ({ kind: "send", to, message: random.pick(versions) }));
  };
}

/** What others signed, rewritten: every place that they prepared holds something else. */
function forgedNewView(message: NewView): NewView {
  const digest = batchDigest({ timestampMs: 6, bundles: [] });
  const viewChanges = message.viewChanges.map(({ proof, message: inner }) => {
    const prepared = inner.prepared.map((certificate) => ({ ...certificate, digest }));
    return { proof, message: { ...inner, prepared } };
  });
  return { ...message, viewChanges };
}

function digestOfViewChange(host: Host, message: ViewChange): Hash {
  const { engine } = host;
  if (engine === null) throw new Error("a host that is down makes no view change");
  return engine.wire.statementOf(message).digest;
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

function lyingAnswer(random: Random, honest: Answer | null): Answer | null {
  if (random.chance(0.4)) return null;
  if (honest?.kind !== "committed") return honest;
  if (random.chance(0.5)) return { ...honest, slots: honest.slots.slice(0, 1), checkpoint: null };
  return { ...honest, slots: [...honest.slots].reverse() };
}

function everybody(host: Host): readonly ValidatorIndex[] {
  return host.cluster.network.set.indices();
}
