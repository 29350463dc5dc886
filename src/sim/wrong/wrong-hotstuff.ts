import type { Engine } from "../../consensus/engine.ts";
import { HotStuffEngine, type HotStuffOptions } from "../../consensus/hotstuff/engine.ts";
import type { HotStuffMessage } from "../../consensus/hotstuff/messages.ts";
import { type Ballot, type Rules, rulesOf } from "../../consensus/hotstuff/rules.ts";
import { blockHash, statementOf } from "../../consensus/hotstuff/statements.ts";
import type { Hash } from "../../lib/hash.ts";
import { type Obligation, obligationsOf } from "../../membership/certificate.ts";
import type { Proof } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { edited } from "../attacks.ts";
import type { RunOptions } from "../run.ts";

/** HotStuff's engine with one rule broken. */

type Planted = NonNullable<RunOptions["makeHotStuff"]>;

function withRules(options: HotStuffOptions, change: (rules: Rules) => Partial<Rules>): HotStuffEngine {
  const rules = rulesOf(options.phases ?? 3);
  return new HotStuffEngine({ ...options, rules: { ...rules, ...change(rules) } });
}

/** Its votes never reach the disk, nor what they rest on. */
export const forgettingVoteRows: Planted = (options) =>
  edited(new HotStuffEngine(options), (effect) => {
    if (effect.kind !== "persist") return [effect];
    return [{ ...effect, writes: effect.writes.filter(({ key }) => key !== "votes") }];
  });

export const counting: Planted = (options) => withRules(options, () => ({ quorum: (set) => set.quorum - 1 }));

/** Votes once in a view, whatever it is locked on, and whatever a time-out certificate names. */
export const unbound: Planted = (options) => withRules(options, () => ({ mayVote: isOnceInAView }));

/** Votes for each block of a view. */
export const approving: Planted = (options) => {
  const voted = new Set<Hash>();
  return withRules(options, (rules) => ({
    mayVote: (ballot) => {
      const hash = blockHash(ballot.block);
      if (voted.has(hash) || ballot.block.view < ballot.lastView) return false;
      if (!rules.mayVote({ ...ballot, lastView: (ballot.block.view - 1) as Ballot["lastView"] })) return false;
      voted.add(hash);
      return true;
    },
  }));
};

/** Votes once in a view, and also after it gave that up. */
export const tardy: Planted = (options) => {
  const voted = new Set<number>();
  return withRules(options, (rules) => ({
    mayVote: (ballot) => {
      const { view } = ballot.block;
      if (voted.has(view) || view < ballot.lastView) return false;
      if (!rules.mayVote({ ...ballot, lastView: (view - 1) as Ballot["lastView"] })) return false;
      voted.add(view);
      return true;
    },
  }));
};

/** Believes a certificate whose signatures hold, however few there are and however often one signer is among them. */
export const credulous: Planted = (options) => withoutCounting(new HotStuffEngine(options), options.network);

/** An engine that checks the signatures of a certificate and counts nobody. */
export function withoutCounting(engine: Engine<HotStuffMessage>, network: NetworkContext): Engine<HotStuffMessage> {
  return {
    name: engine.name,
    dag: engine.dag,
    wire: { ...engine.wire, obligationsOf: (message) => signaturesIn(network, message) },
    step: (event) => engine.step(event),
    screen: (from, message) => engine.screen(from, message),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
}

function signaturesIn(network: NetworkContext, message: HotStuffMessage): readonly Obligation[] {
  if (message.kind !== "proposal" && message.kind !== "certificates") return [];
  const { qc, tc } = message;
  const of = (said: HotStuffMessage, proofs: readonly Proof[]): readonly Obligation[] =>
    obligationsOf(network, { statement: statementOf(said), proofs });
  const ofQc =
    qc === null
      ? []
      : [
          ...of({ kind: "vote", view: qc.view, block: qc.block }, qc.votes),
          ...qc.commits.flatMap(({ sequence, digest, proofs }) =>
            of({ kind: "commit", view: qc.view, sequence, digest }, proofs),
          ),
        ];
  const ofTc = tc?.timeouts.flatMap(({ high, proof }) => of({ kind: "timeout", view: tc.view, high }, [proof])) ?? [];
  return [...ofQc, ...ofTc];
}

function isOnceInAView({ block, lastView }: Ballot): boolean {
  return block.view > lastView;
}
