/** What Byzantine validators answer to polls. They know what everybody prefers and who has decided. */
export const SAMPLING_ADVERSARIES = ["silent", "random", "split", "tip"] as const;
export type SamplingAdversary = (typeof SAMPLING_ADVERSARIES)[number];

export const RED = 0;
export const BLUE = 1;
/** No answer. */
export const NOTHING = 2;
/** Each of them by the toss of a coin. */
export const EITHER = 3;

/** What an adversary sees when it answers: how many correct validators prefer each colour, and how many have decided on it. */
export interface Sight {
  red: number;
  blue: number;
  decidedRed: number;
  decidedBlue: number;
}

/**
 * What all Byzantine validators in the sample say to one that asks and prefers `asker`.
 * `split` rebalances, as Kniep et al. (arXiv 2409.02217): it supports the smaller part, and at a tie leaves everybody where he is.
 * `tip` keeps the parts even and helps everybody to decide for his own, until somebody has; then it pushes the others the other way.
 */
export function answerOf(adversary: SamplingAdversary, sight: Sight, asker: number): number {
  switch (adversary) {
    case "silent":
      return NOTHING;
    case "random":
      return EITHER;
    case "split":
      if (sight.red === sight.blue) return asker;
      return sight.red < sight.blue ? RED : BLUE;
    case "tip":
      if (sight.decidedRed > 0) return BLUE;
      if (sight.decidedBlue > 0) return RED;
      if (Math.abs(sight.red - sight.blue) <= 1) return asker;
      return sight.red < sight.blue ? RED : BLUE;
  }
}
