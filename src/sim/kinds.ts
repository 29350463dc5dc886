import { AvalancheEngine, type AvalancheOptions } from "../consensus/avalanche/engine.ts";
import type { Engine } from "../consensus/engine.ts";
import { HotStuffEngine, type HotStuffOptions } from "../consensus/hotstuff/engine.ts";
import { leadersOf } from "../consensus/hotstuff/leaders.ts";
import type { HotStuffMessage } from "../consensus/hotstuff/messages.ts";
import { PbftEngine, type PbftOptions } from "../consensus/pbft/engine.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import { type Proof, proofOf, sealedBytes } from "../membership/seal.ts";
import { type Statement, statementDigest } from "../membership/statement.ts";
import type { ApplicationService } from "../node/application-service.ts";
import type { NodeParts } from "../node/node-parts.ts";
import type { NodeMessage } from "../node/engines.ts";
import type { ReplicatedParts } from "../node/replicated/replicated-service.ts";
import type { Replication, ReplicationOptions } from "../node/replicated/replication.ts";
import { lying } from "./attacks.ts";
import { lyingDag } from "./dag-attacks.ts";
import { lyingHotStuff } from "./hotstuff-attacks.ts";
import { LyingTransport } from "./lying-transport.ts";
import type { Liar } from "./plan.ts";
import { Random } from "./random.ts";
import { EPOCH_MS } from "./virtual-clock.ts";
import type { VirtualNode } from "./virtual-node.ts";
import { watched } from "./watched-engine.ts";
import type { NodeKind, WatchedDag, World } from "./world.ts";

/** What correct validators are made of, where it is not production's: planted faults. */
export interface Planted {
  /** The engine of correct validators; default production's. Planted faults go here. */
  readonly makeEngine?: (options: PbftOptions, node: VirtualNode) => Engine<PbftMessage>;
  /** As `makeEngine`, in a network of HotStuff. */
  readonly makeHotStuff?: (options: HotStuffOptions, node: VirtualNode) => Engine<HotStuffMessage>;
  /** The engine of correct validators that decides vertices in a leaderless network; default production's. */
  readonly makeLeaderless?: (options: AvalancheOptions<PbftMessage>, node: VirtualNode) => Engine<NodeMessage>;
  /** The replicated application of correct validators, and what serves it to clients; default production's. */
  readonly makeReplication?: (options: ReplicationOptions, node: VirtualNode) => Replication;
  readonly makeService?: (parts: ReplicatedParts, node: VirtualNode) => ApplicationService;
  /** What correct validators get for ports, around those of the virtual world. Planted faults of the node go here. */
  readonly alterParts?: (parts: NodeParts, node: VirtualNode) => NodeParts;
}

/** How a process is made: production's with somebody who looks on, or lying. */

export function correctKind(world: World, place: number, options: Planted): NodeKind {
  const make = options.makeEngine ?? ((engine) => new PbftEngine(engine));
  const makeHotStuff = options.makeHotStuff ?? ((engine) => new HotStuffEngine(engine));
  return {
    makeEngine: (engineOptions, node) => {
      world.checker.onEngine(place, engineOptions.network.set.epoch);
      return watchedOrdered(world, place, make(engineOptions, node));
    },
    makeHotStuff: (engineOptions, node) => {
      world.checker.onEngine(place, engineOptions.network.set.epoch);
      return watchedOrdered(world, place, makeHotStuff(engineOptions, node));
    },
    ...(world.dag === null ? {} : { makeLeaderless: watchedLeaderless(world, world.dag, place, options) }),
    wrapTransport: (transport) => transport,
    ...portsOf(options),
  };
}

function portsOf(options: Planted): Pick<NodeKind, "makeReplication" | "makeService" | "alterParts"> {
  const { makeReplication, makeService, alterParts } = options;
  return {
    ...(makeReplication === undefined ? {} : { makeReplication }),
    ...(makeService === undefined ? {} : { makeService }),
    ...(alterParts === undefined ? {} : { alterParts }),
  };
}

function watchedOrdered<M extends NodeMessage>(world: World, place: number, engine: Engine<M>): Engine<M> {
  return watched(engine, {
    onStep: (event, status) => {
      world.steps += 1;
      world.guard(() => world.checker.onStep(place, event, status));
    },
    onEffect: (effect) => {
      if (effect.kind === "evidence") world.detected.add(effect.equivocation.first.proof.seal.signer);
      world.guard(() => world.checker.onEffect(place, effect));
    },
  });
}

function watchedLeaderless(
  world: World,
  { checker, rules }: WatchedDag,
  place: number,
  options: Planted,
): NonNullable<NodeKind["makeLeaderless"]> {
  const make = options.makeLeaderless ?? ((engine) => new AvalancheEngine(engine));
  return (engineOptions, node) => {
    const { set } = engineOptions.network;
    rules.onEngine(place, set);
    return watched(make(engineOptions, node), {
      onStep: (event) => {
        world.guard(() => {
          if (event.kind === "dag-bundles") for (const { held } of event.bundles) checker.knowledge.add(held);
          rules.onStep(place, event);
        });
      },
      onEffect: (effect) => {
        world.guard(() => {
          if (effect.kind === "decide") checker.onDecide(place, effect.decisions);
          else rules.onEffect(place, effect);
        });
      },
    });
  };
}

/** How often one life of a liar may answer what it hears. */
const LIES_MAX = 4_000;

export function liarKind(world: World, liar: Liar): NodeKind {
  const { seed } = world.plan;
  return {
    makeEngine: (options, node) => {
      const engine = new PbftEngine(options);
      const random = Random.of(seed, 0x11a2, node.place, world.schedule.ran);
      return lying(engine, liar.attacks, {
        random,
        network: options.network,
        self: node.index,
        lanes: options.lanes,
        status: () => engine.status(),
        wallMs: () => Math.floor(EPOCH_MS + world.schedule.nowMs),
        prove: (statement) => proofBy(node, options.network, statement),
        mayLie: upTo(LIES_MAX),
      });
    },
    makeHotStuff: (options, node) => {
      const engine = new HotStuffEngine(options);
      return lyingHotStuff(engine, liar.attacks, {
        random: Random.of(seed, 0x11a5, node.place, world.schedule.ran),
        network: options.network,
        self: node.index,
        lanes: options.lanes,
        status: () => engine.status(),
        wallMs: () => Math.floor(EPOCH_MS + world.schedule.nowMs),
        mayLie: upTo(LIES_MAX),
        leaders: leadersOf(world.plan.hotstuff.leaders),
      });
    },
    makeLeaderless: (options, node) => {
      const random = Random.of(seed, 0x11a4, node.place, world.schedule.ran);
      const { network } = options;
      const scene = { random, network, self: node.index, mayLie: upTo(LIES_MAX) };
      return lyingDag(new AvalancheEngine(options), liar.attacks, scene);
    },
    wrapTransport: (transport, node) => {
      const random = Random.of(seed, 0x11a3, node.place, world.schedule.ran);
      const scene = { network: world.networkContext(), self: node.index, keys: node.keys, random };
      return new LyingTransport(transport, liar.attacks, scene);
    },
  };
}

/** Answers true so many times. */
function upTo(count: number): () => boolean {
  let asked = 0;
  return () => {
    asked += 1;
    return asked <= count;
  };
}

function proofBy(node: VirtualNode, network: PbftOptions["network"], statement: Statement): Proof {
  const leaf = statementDigest(network, statement);
  const signature = node.keys.sign(sealedBytes(network, node.index, 1, merkleRoot([leaf])));
  return proofOf({ signer: node.index, leafCount: 1, signature }, [leaf], 0);
}
