import { isAvalancheMessage } from "../consensus/avalanche/messages.ts";
import type { Effect, Engine, EngineEvent } from "../consensus/engine.ts";
import type { VoteEntry, VoteLevel, Votes } from "../dag/votes.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { Signed } from "../membership/seal.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { NodeMessage } from "../node/engines.ts";
import { edited, isEnd } from "./attacks.ts";
import type { AttackName } from "./plan.ts";
import type { Random } from "./random.ts";

/** What an attacker on the leaderless part may use: its own words, and all that its own engine knows. */
export interface DagScene {
  readonly random: Random;
  readonly network: NetworkContext;
  readonly self: ValidatorIndex;
  /** False when so much was said that two liars might answer each other for ever. */
  mayLie(): boolean;
}

type NodeEffect = Effect<NodeMessage>;
type Edit = (effect: NodeEffect, event: EngineEvent<NodeMessage>) => readonly NodeEffect[];

/** A Byzantine validator of a leaderless network: a correct engine whose words about the DAG somebody edits. */
export function lyingDag(
  engine: Engine<NodeMessage>,
  attacks: readonly AttackName[],
  scene: DagScene,
): Engine<NodeMessage> {
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

const LEVELS: readonly VoteLevel[] = ["accept", "commit"];

/** Attacks on what is said about the DAG; those on bundles and answers are in `lying-transport.ts`. */
const EDITORS: Readonly<Partial<Record<AttackName, (scene: DagScene) => Edit>>> = {
  /** Both members of every conflict, both branches of every fork, at once and without asking anybody. */
  "accept-everything": (scene) => (effect, event) => {
    if (!isEnd(effect) || event.kind !== "dag-bundles" || !scene.mayLie()) return [effect];
    const entries = event.bundles.flatMap(({ held }): VoteEntry[] =>
      LEVELS.map((level) => ({ level, bundle: held.ref.digest, except: [] })),
    );
    return entries.length === 0 ? [effect] : [effect, { kind: "broadcast", message: votesOf(entries) }];
  },
  /** Votes for one thing to some and against it to others. */
  "split-votes": (scene) => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "votes") return [effect];
    const { message } = effect;
    return toEach(scene, (to) => (to === scene.self ? message : altered(scene, message)));
  },
  /** Answers each poll as keeps the askers apart: half of them hear that all is preferred, half that nothing is. */
  "split-answers": ({ random }) => {
    const side = random.below(2);
    return (effect) => {
      if (effect.kind !== "send" || effect.message.kind !== "answer") return [effect];
      const { message } = effect;
      if (random.chance(0.2)) return [effect];
      const isFor = effect.to % 2 === side;
      const heads = message.heads.map((head) => (isFor ? 0 : random.pick([head, 1, 0xff])));
      return [{ ...effect, message: { ...message, heads: isFor ? heads : message.heads, dissents: [] } }];
    };
  },
  withhold: (scene) => {
    const { random } = scene;
    const victims = others(scene).filter(() => random.chance(0.5));
    return (effect) => {
      if (effect.kind !== "broadcast" && effect.kind !== "send" && effect.kind !== "multicast") return [effect];
      if (!isAvalancheMessage(effect.message)) return [effect];
      const { message } = effect;
      if (effect.kind === "send") return victims.includes(effect.to) ? [] : [effect];
      if (effect.kind === "multicast")
        return [{ ...effect, to: effect.to.filter((to) => !victims.includes(to)) }].filter(({ to }) => to.length > 0);
      return toEach(scene, (to) => (victims.includes(to) || random.chance(0.1) ? null : message));
    };
  },
  replay: (scene) => {
    const { random } = scene;
    const kept: Signed<NodeMessage>[] = [];
    return (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || !isAvalancheMessage(event.signed.message)) return [effect];
      if (!scene.mayLie()) return [effect];
      if (kept.length < 400) kept.push(event.signed);
      else kept[random.below(kept.length)] = event.signed;
      if (random.chance(0.8)) return [effect];
      return [effect, { kind: "relay", to: random.pick(others(scene)), signed: random.pick(kept) }];
    };
  },
};

function altered({ random }: DagScene, message: Votes): Votes | null {
  if (random.chance(0.2)) return null;
  const entries = message.entries.filter(() => random.chance(0.7));
  return entries.length === 0
    ? null
    : votesOf(entries.map((entry) => (random.chance(0.5) ? entry : { ...entry, except: [] })));
}

function votesOf(entries: readonly VoteEntry[]): Votes {
  return { kind: "votes", entries };
}

/** One message for each validator, itself included; null for none. */
function toEach({ network }: DagScene, messageFor: (to: ValidatorIndex) => NodeMessage | null): readonly NodeEffect[] {
  return network.set.indices().flatMap((to): NodeEffect[] => {
    const message = messageFor(to);
    return message === null ? [] : [{ kind: "send", to, message }];
  });
}

function others({ network, self }: DagScene): readonly ValidatorIndex[] {
  return network.set.indices().filter((index) => index !== self);
}
