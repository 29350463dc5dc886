import { expect, test } from "bun:test";
import { DagLife } from "./dag-life.ts";

const FIXED_SEED = 1_906;

/** `DAG_LIFE_OPERATIONS=50000` for a long life. */
const OPERATIONS = Number(process.env["DAG_LIFE_OPERATIONS"] ?? 4_000);

const freshSeed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;

test.each([FIXED_SEED, freshSeed])(
  "seed %d: one validator of four that says anything stops nobody, fills no memory, and splits nobody",
  (seed) => {
    const life = new DagLife(seed);
    life.run(OPERATIONS);
    expect(life.operations).toBe(OPERATIONS);
    expect(life.finals).toBeGreaterThan(OPERATIONS / 50);
  },
  600_000,
);
