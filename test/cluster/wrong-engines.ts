import type { Effect, Engine } from "../../src/consensus/engine.ts";
import type { PbftMessage, ViewChange } from "../../src/consensus/pbft/messages.ts";
import { batchDigest } from "../../src/dag/batch.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import { type NetworkContext, ValidatorSet } from "../../src/membership/validator-set.ts";
import { type Execution, type ExecutionState, execute, type ExecutedBundle } from "../../src/replication/executor.ts";
import { edited } from "../../src/sim/attacks.ts";
import type { RunOptions } from "./campaign.ts";
import type { Host } from "./host.ts";
import { pbftOf } from "./pbft-host.ts";

/** A bug planted into every correct replica. The harness has to find it within so many seeds. */
export interface WrongEngine {
  readonly bug: string;
  readonly seeds: number;
  readonly options: Omit<RunOptions, "seed">;
}

class SmallQuorums extends ValidatorSet {
  override readonly quorum: number;

  constructor(right: ValidatorSet) {
    super(right.epoch, right.roster, right.indices());
    this.quorum = right.quorum - 1;
  }
}

/** Rows of this kind never reach the disk. */
function forgetting(prefix: string): (host: Host) => Engine<PbftMessage> {
  return (host) =>
    edited(pbftOf(host), (effect) => {
      if (effect.kind !== "persist") return [effect];
      return [{ ...effect, writes: effect.writes.filter(({ key }) => !key.startsWith(prefix)) }];
    });
}

function rewriting(rewrite: (message: ViewChange) => ViewChange): (host: Host) => Engine<PbftMessage> {
  return (host) =>
    edited(pbftOf(host), (effect) => {
      if (effect.kind !== "broadcast" && effect.kind !== "send") return [effect];
      const { message } = effect;
      return message.kind === "view-change" ? [{ ...effect, message: rewrite(message) }] : [effect];
    });
}

/** Believes whatever a new-view message claims of others. */
function credulous(host: Host): Engine<PbftMessage> {
  const engine = pbftOf(host);
  const { wire } = engine;
  return {
    name: engine.name,
    wire: {
      encode: (message) => wire.encode(message),
      decode: (bytes) => wire.decode(bytes),
      statementOf: (message) => wire.statementOf(message),
      obligationsOf: (message) => (message.kind === "new-view" ? [] : wire.obligationsOf(message)),
    },
    step: (event) => engine.step(event),
    screen: (from, message) => engine.screen(from, message),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
}

/** Goes on to commit in a view that it has asked to leave (Neo's dBFT forked so). */
function unfaithful(host: Host): Engine<PbftMessage> {
  const prepares = new Map<string, Set<ValidatorIndex>>();
  const engine = edited(pbftOf(host), (effect, event) => {
    if (effect.kind !== "trace" || effect.trace.detail !== "end" || event.kind !== "message") return [effect];
    const { message, proof } = event.signed;
    if (message.kind !== "prepare") return [effect];
    const { view, sequence, digest } = message;
    const voters = prepares.get(`${view}/${sequence}/${digest}`) ?? new Set();
    prepares.set(`${view}/${sequence}/${digest}`, voters.add(proof.seal.signer));
    const { quorum } = host.cluster.network.set;
    if (voters.size !== quorum - 1) return [effect];
    return [effect, { kind: "broadcast", message: { kind: "commit", view, sequence, digest } }];
  });
  const screen = engine.screen.bind(engine);
  return {
    ...engine,
    screen: (from, message) => (message.kind === "prepare" ? { kind: "accept" } : screen(from, message)),
  };
}

/** Prepares every proposal, also the second one for a place. */
function agreeable(host: Host): Engine<PbftMessage> {
  return edited(pbftOf(host), (effect, event): readonly Effect<PbftMessage>[] => {
    if (effect.kind !== "trace" || effect.trace.detail !== "end" || event.kind !== "message") return [effect];
    const { message } = event.signed;
    if (message.kind !== "pre-prepare" || message.view % host.cluster.network.set.size === host.self) return [effect];
    const { view, sequence, digest } = message;
    return [effect, { kind: "broadcast", message: { kind: "prepare", view, sequence, digest } }];
  });
}

/** Executes whatever a batch names, without the rule of the lane. */
function executeAgain(
  network: NetworkContext,
  state: ExecutionState,
  batch: Parameters<typeof execute>[2],
  input: Parameters<typeof execute>[3],
): Execution {
  const right = execute(network, state, batch, input);
  const all: ExecutedBundle[] = batch.bundles.map((digest) => ({
    ref: input.bundleOf(digest),
    firstPosition: right.state.position,
    height: 1,
  }));
  return { ...right, executed: all };
}

/** A leader that proposes each place's content once more: what a correct executor passes over. */
function repetitive(host: Host): Engine<PbftMessage> {
  let last: readonly Hash[] = [];
  return edited(pbftOf(host), (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "pre-prepare" || effect.message.batch === null)
      return [effect];
    const { batch } = effect.message;
    if (batch.bundles.length === 0) return [effect];
    const repeated = { ...batch, bundles: [...last, ...batch.bundles] };
    last = batch.bundles;
    return [{ ...effect, message: { ...effect.message, batch: repeated, digest: batchDigest(repeated) } }];
  });
}

export const WRONG_ENGINES: readonly WrongEngine[] = [
  {
    bug: "a quorum of one too few",
    seeds: 60,
    options: {
      count: 4,
      byzantine: 1,
      attacks: ["equivocate", "vote-for-everything"],
      makeEngine: (host) => {
        const { genesis, set } = host.cluster.network;
        return pbftOf(host, { network: { genesis, set: new SmallQuorums(set) } });
      },
    },
  },
  {
    bug: "a vote that is not durable",
    seeds: 60,
    options: { count: 4, byzantine: 1, attacks: ["equivocate"], makeEngine: forgetting("accepted/") },
  },
  { bug: "a view that is not durable", seeds: 60, options: { count: 4, byzantine: 0, makeEngine: forgetting("view") } },
  {
    bug: "a prepared certificate that is not durable",
    seeds: 200,
    options: { count: 4, byzantine: 0, makeEngine: forgetting("prepared/") },
  },
  {
    bug: "a view change without its prepared certificates",
    seeds: 200,
    options: { count: 4, byzantine: 0, makeEngine: rewriting((message) => ({ ...message, prepared: [] })) },
  },
  {
    bug: "a view change without its stable checkpoint",
    seeds: 200,
    options: { count: 4, byzantine: 0, makeEngine: rewriting((message) => ({ ...message, stable: null })) },
  },
  {
    bug: "a new-view message that is believed unchecked",
    seeds: 200,
    options: { count: 4, byzantine: 1, attacks: ["forge-new-view"], makeEngine: credulous },
  },
  { bug: "a commit in an abandoned view", seeds: 60, options: { count: 4, byzantine: 0, makeEngine: unfaithful } },
  {
    bug: "a prepare for every proposal",
    seeds: 60,
    options: { count: 4, byzantine: 1, attacks: ["equivocate"], makeEngine: agreeable },
  },
  {
    bug: "an execution that does not look at what was executed",
    seeds: 60,
    options: { count: 4, byzantine: 0, makeEngine: repetitive, execute: executeAgain },
  },
];
