import { AvalancheEngine } from "../../consensus/avalanche/engine.ts";
import type { Engine } from "../../consensus/engine.ts";
import type { NodeMessage } from "../../node/engines.ts";
import { edited } from "../attacks.ts";
import { lyingDag } from "../dag-attacks.ts";
import type { RunOptions } from "../run.ts";
import type { Plan, Spend } from "../plan.ts";
import { Random } from "../random.ts";
import { withBlackout } from "./wrong-node.ts";

/** Faults of a node of a leaderless network. */

type Planted = NonNullable<RunOptions["makeLeaderless"]>;

/** Binding votes whose rows never reach the disk. */
export const forgettingVotes: Planted = (options) =>
  edited(new AvalancheEngine(options), (effect) => {
    if (effect.kind !== "persist") return [effect];
    return [{ ...effect, writes: effect.writes.filter(({ key }) => !key.startsWith("dag/vote/")) }];
  });

/** Votes for whatever it hears of, both members of a conflict included. */
export const acceptingEverything: Planted = (options, node) =>
  lyingDag(new AvalancheEngine(options), ["accept-everything"], {
    random: Random.of(1, node.place),
    network: options.network,
    self: node.index,
    mayLie: () => options.self !== null,
  });

/** Hands over what is final with the descendants first. */
export const descendantsFirst: Planted = (options) =>
  edited(new AvalancheEngine(options), (effect) =>
    effect.kind === "decide" ? [{ ...effect, decisions: effect.decisions.toReversed() }] : [effect],
  );

/** Takes what one validator claims to know for what all of them say. */
export const believingOne: Planted = (options) => {
  const engine: Engine<NodeMessage> = new AvalancheEngine(options);
  const { set } = options.network;
  return {
    name: engine.name,
    dag: engine.dag,
    wire: engine.wire,
    step: (event) => {
      if (event.kind !== "dag-claims") return engine.step(event);
      const others = set.indices().filter((index) => index !== event.from && index !== options.self);
      return [event.from, ...others].flatMap((from) => engine.step({ ...event, from }));
    },
    screen: (from, message) => engine.screen(from, message),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
};

/** All spend one coin, then all processes stop at the same instant, then all spend it again. */
export function withCoinSpentTwice(plan: Plan): Plan {
  const spends = [700, 5_000].flatMap((fromMs) =>
    Array.from({ length: plan.nodes }, (_, node): Spend => ({ node, atMs: fromMs + 10 * node, coins: [1] })),
  );
  return { ...withBlackout(plan), spends };
}
