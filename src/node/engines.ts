import { AvalancheEngine, type AvalancheOptions } from "../consensus/avalanche/engine.ts";
import { isDagRow } from "../consensus/avalanche/durable.ts";
import type { AvalancheMessage } from "../consensus/avalanche/messages.ts";
import { type AvalancheParams, deriveParams } from "../consensus/avalanche/params.ts";
import type { Engine } from "../consensus/engine.ts";
import { restore as restoreHotStuff } from "../consensus/hotstuff/durable.ts";
import { HotStuffEngine, type HotStuffOptions } from "../consensus/hotstuff/engine.ts";
import type { HotStuffMessage } from "../consensus/hotstuff/messages.ts";
import { restore } from "../consensus/pbft/durable.ts";
import { PbftEngine, type PbftOptions } from "../consensus/pbft/engine.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";
import type { TimeoutLimits } from "../consensus/adaptive-timeout.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Lanes } from "../dag/lanes.ts";
import { present } from "../lib/assert.ts";
import type { EpochBegin } from "./epochs.ts";
import type { EngineName } from "./genesis-application.ts";
import { HOTSTUFF_DEFAULTS, type HotStuffChoice } from "./genesis-hotstuff.ts";
import type { Entropy } from "./ports.ts";
import { EntropySource } from "./random-source.ts";

/** What the engines of this release say to each other. */
export type NodeMessage = PbftMessage | HotStuffMessage | AvalancheMessage;

/** Which engine a node runs, and what it is made of. */
export interface EngineParts {
  /** As the genesis names it. Default "pbft". */
  readonly engine?: EngineName;
  readonly timeouts: TimeoutLimits;
  /** Unpredictable bytes; a leaderless network cannot do without. */
  readonly entropy?: Entropy;
  /** What a leaderless engine samples with, by the number of validators. Default: the network's own defaults. */
  readonly avalancheParams?: (nodes: number) => AvalancheParams;
  /** Whom a leaderless network's polls do not ask because this node's score of it is low. Default: nobody is avoided. */
  readonly avoids?: (peer: NodeId) => boolean;
  /** How HotStuff runs, as the genesis says. Default: `HOTSTUFF_DEFAULTS`. */
  readonly hotstuff?: HotStuffChoice;
  /** The engine that orders. Default: `PbftEngine`; a simulator puts its liars and its planted faults here. */
  readonly makeEngine?: (options: PbftOptions) => Engine<PbftMessage>;
  /** As `makeEngine`, in a network of HotStuff. Default: `HotStuffEngine`. */
  readonly makeHotStuff?: (options: HotStuffOptions) => Engine<HotStuffMessage>;
  /** The engine that decides vertices beside it. Default: `AvalancheEngine`. */
  readonly makeLeaderless?: (options: AvalancheOptions<PbftMessage>) => Engine<NodeMessage>;
}

function hotStuffMaker(parts: EngineParts, lanes: Lanes): (begin: EpochBegin) => Engine<NodeMessage> {
  const { timeouts, hotstuff = HOTSTUFF_DEFAULTS } = parts;
  const make =
    parts.makeHotStuff ?? ((options: HotStuffOptions): Engine<HotStuffMessage> => new HotStuffEngine(options));
  return ({ network, self, base, executed, rows }) =>
    make({ network, self, base, executed, lanes, timeouts, ...hotstuff, restored: restoreHotStuff(rows ?? []) });
}

/** Makes the engine of each epoch. */
export function engineMaker(parts: EngineParts, lanes: Lanes): (begin: EpochBegin) => Engine<NodeMessage> {
  const { timeouts } = parts;
  const makeOrdered = parts.makeEngine ?? ((options: PbftOptions): Engine<PbftMessage> => new PbftEngine(options));
  const ordered = ({ network, self, base, executed, rows }: EpochBegin): Engine<PbftMessage> =>
    makeOrdered({ network, self, base, executed, lanes, timeouts, restored: restore(rows ?? []) });
  if (parts.engine === "hotstuff") return hotStuffMaker(parts, lanes);
  if (parts.engine !== "avalanche") return ordered;
  const random = new EntropySource(present(parts.entropy, "unpredictable bytes for a leaderless network"));
  const params = parts.avalancheParams ?? ((nodes: number): AvalancheParams => deriveParams(nodes));
  const make =
    parts.makeLeaderless ??
    ((options: AvalancheOptions<PbftMessage>): Engine<NodeMessage> => new AvalancheEngine(options));
  return (begin) => {
    const { network, self, previous, earlier, remembersPrevious, rows } = begin;
    return make({
      order: ordered(begin),
      network,
      self,
      params: params(network.set.size),
      random,
      restored: present(begin.dag, "the DAG that a leaderless engine begins with"),
      previous,
      earlier,
      remembersPrevious,
      rows: (rows ?? []).filter(({ key }) => isDagRow(key)),
      avoids: (peer) => parts.avoids?.(network.set.at(peer).nodeId) === true,
    });
  };
}
