import type { BundleNode } from "../../../consensus/avalanche/bundle-node.ts";
import type { ConflictSet } from "../../../consensus/avalanche/conflict-set.ts";
import { Participant, type ParticipantOptions } from "../../../consensus/avalanche/participant.ts";
import { Tally } from "../../../consensus/avalanche/tally.ts";
import type { ValidatorIndex } from "../../../membership/ids.ts";
import { ValidatorSet } from "../../../membership/validator-set.ts";

/** Wrong engines: production's participant with one rule taken out of it. Nothing in production knows of them. */
export type WrongMake = (options: ParticipantOptions) => Participant;

/** A participant to which something is done before it begins. */
export function altered(alter: (participant: Participant) => void): WrongMake {
  return (options) => {
    const participant = new Participant(options);
    alter(participant);
    return participant;
  };
}

/** The same validators, with another opinion of how many are enough. */
export function withCounts(
  change: (set: ValidatorSet) => { readonly quorum?: number; readonly honestMinority?: number },
): WrongMake {
  return (options) => {
    const { set } = options.network;
    const terms = set.roster.map((_, index) => set.termOf(index as ValidatorIndex));
    const wrong = new ValidatorSet(set.epoch, set.roster, set.indices(), terms);
    for (const [name, value] of Object.entries(change(set))) Object.defineProperty(wrong, name, { value });
    return new Participant({ ...options, network: { ...options.network, set: wrong } });
  };
}

/** Does something to every bundle that is taken in. */
export function onNodes(participant: Participant, alter: (node: BundleNode) => void): void {
  const { graph } = participant;
  const insert = graph.insert.bind(graph);
  const restore = graph.restore.bind(graph);
  graph.insert = (...parameters): ReturnType<typeof insert> => {
    const insertion = insert(...parameters);
    if (insertion.kind === "node") alter(insertion.node);
    return insertion;
  };
  graph.restore = (...parameters): BundleNode => {
    const node = restore(...parameters);
    alter(node);
    return node;
  };
}

/** Does something to every conflict set. */
export function onSets(participant: Participant, alter: (set: ConflictSet) => void): void {
  const { graph } = participant;
  const seen = new WeakSet<ConflictSet>();
  const setOf = graph.setOf.bind(graph);
  graph.setOf = (id): ConflictSet => {
    const set = setOf(id);
    if (!seen.has(set)) alter(set);
    seen.add(set);
    return set;
  };
}

/** A property that always reads the same. */
export function fixed(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { get: () => value, set: () => undefined, configurable: true });
}

const SIZE = Object.getOwnPropertyDescriptor(Tally.prototype, "size")?.get;
const FULL = Object.getOwnPropertyDescriptor(Tally.prototype, "full")?.get;

/** A tally that counts some more than there are, as soon as there is one. */
export function inflate(tally: Tally, more: () => number): void {
  const real = (get: (() => number) | undefined): number => Number(get?.call(tally) ?? 0);
  const count = tally.count.bind(tally);
  const with_ = (votes: number): number => (votes === 0 ? 0 : votes + more());
  Object.defineProperty(tally, "size", { get: () => with_(real(SIZE)) });
  Object.defineProperty(tally, "full", { get: () => with_(real(FULL)) });
  tally.count = (vertex): number => with_(count(vertex));
}

/** A tally that counts messages. */
export function countMessages(tally: Tally): void {
  let again = 0;
  const add = tally.add.bind(tally);
  tally.add = (...parameters): boolean => {
    const isNew = add(...parameters);
    if (!isNew) again += 1;
    return isNew;
  };
  inflate(tally, () => again);
}
