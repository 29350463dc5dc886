import { PbftEngine } from "../../consensus/pbft/engine.ts";
import type { PbftMessage } from "../../consensus/pbft/messages.ts";
import { quorumSize } from "../../membership/quorum.ts";
import { ValidatorSet } from "../../membership/validator-set.ts";
import type { RunOptions } from "../run.ts";

type Planted = NonNullable<RunOptions["makeEngine"]>;

/** The whole node takes one vote too few for a quorum: its loop shares the validator set with its engine. */
export const smallQuorums: Planted = (options) => {
  const { set } = options.network;
  // A life has several engines, the first of which only listens; the set is the same.
  Object.defineProperty(set, "quorum", { value: quorumSize(set.size) - 1 });
  return new PbftEngine(options);
};

/** The same validators, with another opinion of how many are a quorum. */
function withQuorum(right: ValidatorSet, quorum: () => number): ValidatorSet {
  const wrong = new ValidatorSet(right.epoch, right.roster, right.indices());
  Object.defineProperty(wrong, "quorum", { get: quorum });
  return wrong;
}

/** Counts wrong while it handles messages of these kinds, and right in everything else. */
export function miscounting(kinds: readonly PbftMessage["kind"][], quorumOf: (right: number) => number): Planted {
  return (options) => {
    const { set } = options.network;
    let quorum = set.quorum;
    const network = { ...options.network, set: withQuorum(set, () => quorum) };
    const engine = new PbftEngine({ ...options, network });
    return {
      name: engine.name,
      dag: engine.dag,
      wire: engine.wire,
      step: (event) => {
        if (event.kind === "message" && kinds.includes(event.signed.message.kind)) quorum = quorumOf(set.quorum);
        try {
          return engine.step(event);
        } finally {
          quorum = set.quorum;
        }
      },
      screen: (from, message) => engine.screen(from, message),
      status: () => engine.status(),
      batchOf: (digest) => engine.batchOf(digest),
    };
  };
}
