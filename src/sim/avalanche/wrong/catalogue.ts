import type { Poll } from "../../../consensus/avalanche/poll.ts";
import { Participant } from "../../../consensus/avalanche/participant.ts";
import type { ValidatorIndex } from "../../../membership/ids.ts";
import type { DagPlant } from "../dag-cluster-options.ts";
import { type DagPlan, dagPlanOf, type DagPlanWords } from "../dag-plan.ts";
import type { DagInvariant } from "../dag-violation.ts";
import { altered, countMessages, fixed, inflate, onNodes, onSets, withCounts } from "./wrong-parts.ts";

/** A bug planted into every correct member. The checker has to find it, or what it passes means nothing. */
export interface WrongDag {
  readonly bug: string;
  /** The rule that it breaks. */
  readonly breaks: string;
  /** It is found by this seed at the latest; seeds count from 1. */
  readonly seeds: number;
  readonly expects: readonly DagInvariant[];
  readonly words: Omit<DagPlanWords, "seed">;
  /** Circumstances that chance alone chooses too seldom. */
  readonly adjust?: (plan: DagPlan) => DagPlan;
  readonly plant: DagPlant;
}

export function dagPlanFor({ words, adjust }: WrongDag, seed: number): DagPlan {
  const plan = dagPlanOf({ ...words, seed });
  return adjust?.(plan) ?? plan;
}

/** Everybody goes on in a new epoch, often. */
function withEpochs(plan: DagPlan): DagPlan {
  return { ...plan, epochs: [1_500, 3_000, 4_500].map((atMs) => ({ atMs, gone: null })) };
}

/** Every correct member crashes once, one after the other. */
function withCrashes(plan: DagPlan): DagPlan {
  const correct = Array.from({ length: plan.nodes }, (_, index) => index as ValidatorIndex).filter(
    (index) => !plan.liars.includes(index),
  );
  const crashes = correct.map((member, at) => {
    const atMs = 1_000 + at * 900;
    return { member, atMs, untilMs: atMs + 100, effects: null };
  });
  return { ...plan, crashes };
}

/** Reports come early, the log answers late, and in between everybody crashes, several times. */
function withCrashesAfterReports(plan: DagPlan): DagPlan {
  const crashes = withCrashes(plan).crashes.flatMap((crash, at) => {
    return [1_000, 2_100, 3_200, 4_300].map((baseMs) => {
      const atMs = baseMs + at * 250;
      return { ...crash, atMs, untilMs: atMs + 50 };
    });
  });
  return { ...plan, crashes, logMs: 1_500, params: { ...plan.params, patienceMs: 150, resolveAfterMs: 200 } };
}

export const WRONG_DAGS: readonly WrongDag[] = [
  {
    bug: "two members of a set accepted",
    breaks: "one accept for each set and epoch (docs/decisions/0006, 1)",
    seeds: 20,
    expects: ["one-accept"],
    words: { nodes: 4, adversary: "double" },
    // Without a report nothing but the lock is in the way.
    adjust: (plan) => ({ ...plan, params: { ...plan.params, resolveAfterMs: 30_000 } }),
    plant: {
      makeParticipant: altered((p) => {
        onSets(p, (set) => {
          set.isFreeFor = (): boolean => set.winner === null && !set.isFrozen;
          fixed(set, "pinned", null);
        });
      }),
    },
  },
  {
    bug: "a commit at one accept too few",
    breaks: "a commit needs a certificate (0006, 2)",
    seeds: 5,
    expects: ["certified-commit"],
    words: { nodes: 4 },
    plant: { makeParticipant: altered((p) => onNodes(p, ({ accepts }) => inflate(accepts, () => 1))) },
  },
  {
    bug: "final at one commit too few",
    breaks: "final is what a quorum committed to (0006)",
    seeds: 5,
    expects: ["proved-final"],
    words: { nodes: 4 },
    plant: { makeParticipant: altered((p) => onNodes(p, ({ commits }) => inflate(commits, () => 1))) },
  },
  {
    bug: "a quorum of one too few",
    breaks: "any two quorums share a correct validator",
    seeds: 5,
    expects: ["certified-commit", "proved-final"],
    words: { nodes: 7 },
    plant: { makeParticipant: withCounts(({ quorum }) => ({ quorum: quorum - 1 })) },
  },
  {
    bug: "messages counted instead of validators",
    breaks: "a quorum counts distinct validators (traps.md)",
    seeds: 20,
    expects: ["proved-final", "certified-commit"],
    words: { nodes: 4, adversary: "double" },
    plant: {
      makeParticipant: altered((p) =>
        onNodes(p, ({ accepts, commits }) => {
          countMessages(accepts);
          countMessages(commits);
        }),
      ),
    },
  },
  {
    bug: "a frozen set voted upon",
    breaks: "no vote after a report (0006, 3)",
    seeds: 20,
    expects: ["promise-kept", "honest-report"],
    words: { nodes: 4, adversary: "reports" },
    plant: { makeParticipant: altered((p) => onSets(p, (set) => fixed(set, "isFrozen", false))) },
  },
  {
    bug: "rows that are not written",
    breaks: "a vote is durable before it leaves (traps.md)",
    seeds: 60,
    expects: ["one-accept", "promise-kept", "honest-report", "agreement"],
    words: { nodes: 4, adversary: "reports" },
    adjust: withCrashes,
    plant: { alter: (effect) => (effect.kind === "persist" ? [] : [effect]) },
  },
  {
    bug: "a report that is not durable",
    breaks: "the promise of a report outlives a crash (0006, 3)",
    seeds: 10,
    expects: ["promise-kept"],
    words: { nodes: 4, adversary: "reports" },
    adjust: withCrashesAfterReports,
    plant: {
      makeParticipant: altered((p) =>
        onNodes(p, ({ reported }) => {
          reported.keys = (): MapIterator<number> => new Map<number, number>().keys();
        }),
      ),
    },
  },
  {
    bug: "votes before the gate is passed",
    breaks: "q validators of the epoch before are heard first (0006, 6)",
    seeds: 20,
    expects: ["gate"],
    words: { nodes: 4 },
    adjust: withEpochs,
    plant: { makeParticipant: altered((p) => fixed(p, "mayVote", true)) },
  },
  {
    bug: "children that do not wait for their parents",
    breaks: "ancestors before descendants (AV, FR-006)",
    seeds: 10,
    expects: ["ancestors-first"],
    words: { nodes: 4 },
    plant: {
      makeParticipant: altered((p) =>
        onNodes(p, (node) => {
          fixed(node, "previous", "past");
          fixed(node, "second", "past");
        }),
      ),
    },
  },
  {
    bug: "claims believed of one peer",
    breaks: "of f + 1 one is correct (syncing.ts)",
    seeds: 20,
    expects: ["proved-final", "agreement"],
    words: { nodes: 4, adversary: "claims" },
    plant: { makeParticipant: withCounts(() => ({ honestMinority: 1 })) },
  },
  {
    bug: "an answer counted as often as it comes",
    breaks: "a poll counts one answer of each whom it asked (polling.ts)",
    seeds: 60,
    expects: ["sampled-accept"],
    words: { nodes: 4, adversary: "flood" },
    plant: {
      makeParticipant: altered(({ polls }) => {
        const set = polls.set.bind(polls);
        polls.set = (id: number, poll: Poll): Map<number, Poll> => {
          const remove = poll.waiting.delete.bind(poll.waiting);
          poll.waiting.delete = (peer): boolean => remove(peer) || true;
          return set(id, poll);
        };
      }),
    },
  },
  {
    bug: "an accept without sampling",
    breaks: "so many successes first (FR-005)",
    seeds: 5,
    expects: ["sampled-accept"],
    words: { nodes: 4 },
    plant: {
      makeParticipant: (options) =>
        new Participant({ ...options, params: { ...options.params, beta: 1, earlyBeta: 1, finalizationPpm: 0 } }),
    },
    adjust: (plan) => ({
      ...plan,
      params: { ...plan.params, beta: 12, earlyBeta: 12, patienceMs: 2_000, resolveAfterMs: 4_000 },
    }),
  },
  {
    bug: "reports without their certificates",
    breaks: "a report carries what its sender holds for a rival (0006, 3)",
    seeds: 60,
    expects: ["honest-report"],
    words: { nodes: 4, adversary: "tip" },
    plant: { alter: (effect) => (effect.kind === "report" ? [{ ...effect, certified: null }] : [effect]) },
  },
  {
    bug: "no report, ever",
    breaks: "what sampling leaves open goes to the log (correction 17)",
    seeds: 20,
    expects: ["liveness"],
    words: { nodes: 4, adversary: "split" },
    plant: { alter: (effect) => (effect.kind === "report" ? [] : [effect]) },
  },
  {
    bug: "the log's word not taken",
    breaks: "what the log decided is final (0006)",
    seeds: 20,
    expects: ["liveness"],
    words: { nodes: 4, adversary: "split" },
    plant: {
      makeParticipant: altered((p) =>
        onNodes(p, ({ resolved }) => {
          resolved.add = (): Set<number> => resolved;
        }),
      ),
    },
  },
  {
    bug: "missing bundles never asked for",
    breaks: "a query for what is not here brings it (traps.md)",
    seeds: 30,
    expects: ["liveness"],
    words: { nodes: 4, adversary: "withhold" },
    plant: {
      alter: (effect) => (effect.kind === "fetch-bundles" || effect.kind === "fetch-vertices" ? [] : [effect]),
    },
  },
];
