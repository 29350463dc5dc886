import type { SamplingModel } from "../../consensus/avalanche/snowball-chain.ts";
import type { Random } from "../random.ts";
import { answerOf, BLUE, EITHER, RED, type SamplingAdversary, type Sight } from "./adversary.ts";

export interface SamplingRun {
  readonly model: SamplingModel;
  readonly adversary: SamplingAdversary;
  /** Of the correct validators, how many prefer red at first; the others prefer blue. All of them: a vertex without conflict. */
  readonly red: number;
  /** All poll what was preferred at the end of the round before; or one after the other, each drawn at random. */
  readonly schedule: "rounds" | "one by one";
  /**
   * What moves a preference: the last poll that reached the threshold (`snowflake`, what the computed figures are about), or the
   * larger number of such polls so far (`snowball`).
   */
  readonly rule?: "snowflake" | "snowball";
  /** Polls of each correct validator, after which the run ends. */
  readonly roundsMax: number;
}

export interface SamplingOutcome {
  /** When the last one decided; null where somebody had not by `roundsMax`. One by one, a round is as many polls as there are correct validators. */
  readonly rounds: number | null;
  /** Rounds until the first decision; null where there was none. */
  readonly first: number | null;
  readonly decidedRed: number;
  readonly decidedBlue: number;
}

/** Snowflake or Snowball with two thresholds at every correct validator, until all have decided. One seed, one outcome. */
export function runSampling(run: SamplingRun, random: Random): SamplingOutcome {
  return new SamplingNetwork(run, random).run();
}

class SamplingNetwork {
  readonly #run: SamplingRun;
  readonly #random: Random;
  readonly #correct: number;
  readonly #preference: Uint8Array;
  readonly #streak: Uint16Array;
  /** Polls that red has won more than blue, by the preference threshold. */
  readonly #lead: Int32Array;
  /** Those who poll: the undecided, in no order. */
  readonly #open: Uint16Array;
  #openCount: number;
  /** What the correct ones prefer now. */
  readonly #now: Sight;
  #redHits = 0;
  #blueHits = 0;

  constructor(run: SamplingRun, random: Random) {
    const { nodes, byzantine } = run.model;
    this.#run = run;
    this.#random = random;
    this.#correct = nodes - byzantine;
    this.#preference = new Uint8Array(this.#correct).fill(BLUE);
    this.#preference.fill(RED, 0, run.red);
    this.#streak = new Uint16Array(this.#correct);
    this.#lead = new Int32Array(this.#correct);
    this.#open = Uint16Array.from({ length: this.#correct }, (_, index) => index);
    this.#openCount = this.#correct;
    this.#now = { red: run.red, blue: this.#correct - run.red, decidedRed: 0, decidedBlue: 0 };
  }

  run(): SamplingOutcome {
    const { roundsMax, schedule } = this.#run;
    let polls = 0;
    let first: number | null = null;
    const limit = roundsMax * this.#correct;
    while (this.#openCount > 0 && polls < limit) {
      if (schedule === "rounds") this.#round();
      else this.#pollOf(this.#random.below(this.#openCount), this.#now.red, this.#now.blue);
      // One by one, a drawn one that has decided would do nothing: as many draws pass as that takes on average.
      polls += schedule === "rounds" ? this.#correct : this.#correct / Math.max(1, this.#openCount);
      if (first === null && this.#openCount < this.#correct) first = polls / this.#correct;
    }
    const { decidedRed, decidedBlue } = this.#now;
    return { rounds: this.#openCount === 0 ? polls / this.#correct : null, first, decidedRed, decidedBlue };
  }

  #round(): void {
    const { red, blue } = this.#now;
    // Backwards, because who decides leaves its place to the last one.
    for (let place = this.#openCount - 1; place >= 0; place--) this.#pollOf(place, red, blue);
  }

  /** One poll, of a network in which so many correct ones answer red and blue. */
  #pollOf(place: number, red: number, blue: number): void {
    const { preferenceThreshold, confidenceThreshold, beta } = this.#run.model;
    const node = this.#open[place] ?? 0;
    const before = this.#preference[node] ?? RED;
    this.#sample(red, blue, answerOf(this.#run.adversary, this.#now, before));
    const winner = this.#redHits >= this.#blueHits ? RED : BLUE;
    const hits = Math.max(this.#redHits, this.#blueHits);
    const after = hits >= preferenceThreshold ? this.#preferred(node, before, winner) : before;
    if (after !== before) this.#flip(node, after);
    const kept = after === before ? (this.#streak[node] ?? 0) : 0;
    const streak = hits >= confidenceThreshold && winner === after ? kept + 1 : 0;
    this.#streak[node] = streak;
    if (streak >= beta) this.#decide(place, after);
  }

  /** What a node prefers after a poll that a colour has won. */
  #preferred(node: number, before: number, winner: number): number {
    if (this.#run.rule !== "snowball") return winner;
    const lead = (this.#lead[node] ?? 0) + (winner === RED ? 1 : -1);
    this.#lead[node] = lead;
    if (lead === 0) return before;
    return lead > 0 ? RED : BLUE;
  }

  #flip(node: number, colour: number): void {
    this.#preference[node] = colour;
    this.#now.red += colour === RED ? 1 : -1;
    this.#now.blue += colour === BLUE ? 1 : -1;
  }

  #decide(place: number, colour: number): void {
    this.#openCount--;
    this.#open[place] = this.#open[this.#openCount] ?? 0;
    if (colour === RED) this.#now.decidedRed++;
    else this.#now.decidedBlue++;
  }

  /** Draws k validators without putting back, one by one, and counts what they answer. */
  #sample(red: number, blue: number, answer: number): void {
    const { nodes, sampleSize } = this.#run.model;
    let redLeft = red;
    let blueLeft = blue;
    let redHits = 0;
    let blueHits = 0;
    for (let left = nodes; left > nodes - sampleSize; left--) {
      const drawn = this.#random.below(left);
      if (drawn < redLeft) {
        redLeft--;
        redHits++;
      } else if (drawn < redLeft + blueLeft) {
        blueLeft--;
        blueHits++;
      } else {
        const said = answer === EITHER ? this.#random.next() & 1 : answer;
        if (said === RED) redHits++;
        else if (said === BLUE) blueHits++;
      }
    }
    this.#redHits = redHits;
    this.#blueHits = blueHits;
  }
}
