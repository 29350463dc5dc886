import type { Plan } from "../plan.ts";
import { approving, counting, credulous, forgettingVoteRows, tardy, unbound } from "./wrong-hotstuff.ts";
import type { WrongNode } from "./wrong-node.ts";

/** Bugs of HotStuff's engine: `catalogue.ts` has them with all others. */
export const WRONG_HOTSTUFF: readonly WrongNode[] = [
  {
    bug: "a certificate of one vote too few",
    breaks: "two quorums share a correct replica (Yin et al. 2019, §4)",
    seeds: 60,
    // Whoever is shown such a certificate elsewhere refuses it, and blames who believes in it.
    expects: ["agreement", "state-equality", "no-failure", "no-false-blame"],
    says: /agreement|state-equality|more than f validators lie|invalid-committed-places|without its proof/,
    swarm: { nodes: 4, engine: "hotstuff", byzantine: 1, attacks: ["equivocate", "vote-for-everything"] },
    plant: { makeHotStuff: counting },
  },
  {
    bug: "a vote of HotStuff that is not durable",
    breaks: "the last voted view survives a crash (hotstuff/durable.ts)",
    seeds: 5,
    expects: ["durable-before-visible"],
    swarm: { nodes: 4, engine: "hotstuff", byzantine: 0 },
    plant: { makeHotStuff: forgettingVoteRows },
  },
  {
    bug: "a vote against the lock",
    breaks: "safeNode (Algorithm 4): what extends the lock, or shows a certificate above it",
    seeds: 60,
    expects: ["lock-respected"],
    swarm: { nodes: 4, engine: "hotstuff", byzantine: 1, attacks: ["two-new-views"] },
    adjust: withThreePhases,
    plant: { makeHotStuff: unbound },
  },
  {
    bug: "a vote for every block of a view",
    breaks: "one vote in a view (Algorithm 4)",
    seeds: 60,
    expects: ["no-contradiction", "no-false-blame"],
    says: /twice|evidence against correct validator|it gave up view/,
    swarm: { nodes: 4, engine: "hotstuff", byzantine: 1, attacks: ["equivocate"] },
    plant: { makeHotStuff: approving },
  },
  {
    bug: "a vote in a view that was given up",
    breaks: "who gives a view up votes in it no more (hotstuff/pacemaker.ts)",
    seeds: 60,
    expects: ["no-contradiction"],
    swarm: { nodes: 4, engine: "hotstuff", byzantine: 0 },
    plant: { makeHotStuff: tardy },
  },
  {
    bug: "a certificate that is believed whoever and however few signed it",
    breaks: "a certificate is a quorum's: q distinct validators (Yin et al. 2019, §4; hotstuff/statements.ts)",
    seeds: 10,
    expects: ["agreement", "state-equality", "no-failure"],
    says: /agreement|state-equality|more than f validators lie/,
    swarm: { nodes: 4, engine: "hotstuff", byzantine: 1, attacks: ["forge-certificate"] },
    plant: { makeHotStuff: credulous },
  },
  {
    bug: "two phases that look at no time-out certificate",
    breaks: "no lower certificate than any of the quorum that gave up knew (Jolteon, figure 2)",
    seeds: 60,
    expects: ["agreement", "state-equality", "no-failure"],
    says: /agreement|state-equality|committed and no chain|more than f validators lie/,
    swarm: {
      nodes: 4,
      engine: "hotstuff",
      byzantine: 1,
      attacks: ["two-new-views", "withhold", "vote-for-everything"],
    },
    adjust: withTwoPhases,
    plant: { makeHotStuff: unbound },
  },
];

function withThreePhases(plan: Plan): Plan {
  return { ...plan, hotstuff: { ...plan.hotstuff, phases: 3 } };
}

/** Also without comings and goings: nothing takes the place of the views that matter. */
function withTwoPhases(plan: Plan): Plan {
  return { ...plan, hotstuff: { phases: 2, voteRoute: "leader", leaders: "round-robin" }, joiners: 0, changes: [] };
}
