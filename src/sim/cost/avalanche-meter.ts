import { type EngineCosts, STEP_KINDS, type StepCost, type StepKind } from "./avalanche-charges.ts";

interface Sums {
  steps: number;
  units: number;
  us: number;
  unitsUs: number;
  unitsUnits: number;
}

/** Measures the real engines' steps, in CPU time of this machine, while they run, and answers what each kind costs. */
export class StepMeter {
  readonly #sums = new Map<StepKind, Sums>(
    STEP_KINDS.map((kind) => [kind, { steps: 0, units: 0, us: 0, unitsUs: 0, unitsUnits: 0 }]),
  );

  readonly #nowUs: () => number;

  /** `nowUs`: a clock in microseconds; what it shows more after a step than before is what the step took. */
  constructor(nowUs: () => number = threadUs) {
    this.#nowUs = nowUs;
  }

  run<T>(kind: StepKind, units: number, step: () => T): T {
    const began = this.#nowUs();
    const result = step();
    const us = this.#nowUs() - began;
    const sums = this.#sums.get(kind);
    if (sums === undefined) return result;
    sums.steps += 1;
    sums.units += units;
    sums.us += us;
    sums.unitsUs += units * us;
    sums.unitsUnits += units * units;
    return result;
  }

  clear(): void {
    for (const sums of this.#sums.values())
      Object.assign(sums, { steps: 0, units: 0, us: 0, unitsUs: 0, unitsUnits: 0 });
  }

  /** The line of least squares through what was measured; the mean where all steps had as many units. */
  costs(): EngineCosts {
    return Object.fromEntries([...this.#sums].map(([kind, sums]) => [kind, lineOf(sums)])) as EngineCosts;
  }

  /** What was measured and what these costs would charge, in all, in microseconds. */
  compare(costs: EngineCosts): { readonly measuredUs: number; readonly chargedUs: number } {
    let [measuredUs, chargedUs] = [0, 0];
    for (const [kind, { steps, units, us }] of this.#sums) {
      measuredUs += us;
      chargedUs += steps * costs[kind].fixedUs + units * costs[kind].perUnitUs;
    }
    return { measuredUs, chargedUs };
  }

  /** Steps and units of each kind. */
  counts(): Readonly<Record<StepKind, { readonly steps: number; readonly units: number; readonly us: number }>> {
    return Object.fromEntries(
      [...this.#sums].map(([kind, { steps, units, us }]) => [kind, { steps, units, us }]),
    ) as ReturnType<StepMeter["counts"]>;
  }
}

/** CPU time of this thread so far: what other programs do meanwhile does not count. */
function threadUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

function lineOf({ steps, units, us, unitsUs, unitsUnits }: Sums): StepCost {
  if (steps === 0) return { fixedUs: 0, perUnitUs: 0 };
  const spread = steps * unitsUnits - units * units;
  if (spread <= 0) return { fixedUs: us / steps, perUnitUs: 0 };
  const perUnitUs = Math.max(0, (steps * unitsUs - units * us) / spread);
  return { fixedUs: Math.max(0, (us - perUnitUs * units) / steps), perUnitUs };
}
