import type { Random } from "../random.ts";

/** What one liar does; whatever is not said it does as its engine wants. */
export interface Behaviour {
  readonly answers: "honest" | "silent" | "random" | "split" | "tip" | "late";
  readonly votes: "honest" | "silent" | "double" | "tip";
  readonly reports: "honest" | "silent" | "lies";
  /** Lies to those who catch up. */
  readonly claims: boolean;
  /** Queries without end, answers to polls that did not ask it. */
  readonly floods: boolean;
  /** Two bundles for one place of its lane, and chains on both. */
  readonly forks: boolean;
  /** Vertices for keys that others claim. */
  readonly spends: boolean;
  /** Shows its bundles to few, and hands none over. */
  readonly withholds: boolean;
}

const HONEST: Behaviour = {
  answers: "honest",
  votes: "honest",
  reports: "honest",
  claims: false,
  floods: false,
  forks: false,
  spends: false,
  withholds: false,
};

export const DAG_ADVERSARIES = [
  "silent",
  "random",
  "split",
  "tip",
  "double",
  "fork",
  "spend",
  "withhold",
  "claims",
  "reports",
  "flood",
  "late",
  "mixed",
] as const;

export type DagAdversaryName = (typeof DAG_ADVERSARIES)[number];

/** What each adversary does; `mixed` draws everything apart. */
export function behaviourOf(name: DagAdversaryName, random: Random): Behaviour {
  switch (name) {
    case "silent":
      return { ...HONEST, answers: "silent", votes: "silent", reports: "silent" };
    case "random":
      return { ...HONEST, answers: "random", spends: true };
    case "split":
      return { ...HONEST, answers: "split", votes: "silent", reports: "silent", spends: true, forks: true };
    case "tip":
      return { ...HONEST, answers: "tip", votes: "tip", reports: "lies", spends: true, forks: true };
    case "double":
      return { ...HONEST, answers: "split", votes: "double", reports: "lies", spends: true, forks: true };
    case "fork":
      return { ...HONEST, forks: true };
    case "spend":
      return { ...HONEST, spends: true };
    case "withhold":
      return { ...HONEST, votes: "double", forks: true, withholds: true };
    case "claims":
      return { ...HONEST, answers: "split", votes: "double", claims: true, spends: true };
    case "reports":
      return { ...HONEST, answers: "split", votes: "double", reports: "lies", spends: true, forks: true };
    case "flood":
      return { ...HONEST, floods: true, spends: true };
    case "late":
      return { ...HONEST, answers: "late", forks: true };
    case "mixed":
      return {
        answers: random.pick(["honest", "silent", "random", "split", "tip", "late"]),
        votes: random.pick(["honest", "silent", "double", "tip"]),
        reports: random.pick(["honest", "silent", "lies"]),
        claims: random.chance(0.5),
        floods: random.chance(0.2),
        forks: random.chance(0.6),
        spends: random.chance(0.7),
        withholds: random.chance(0.3),
      };
    default:
      return name satisfies never;
  }
}
