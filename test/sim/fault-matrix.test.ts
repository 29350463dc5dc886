import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { INVARIANTS } from "../../src/sim/violation.ts";
import { type RunResult, runPlan } from "../../src/sim/run.ts";
import { WRONG_NODES } from "../../src/sim/wrong/catalogue.ts";
import { DAG_FAULTS, HOTSTUFF_FAULTS, SINGLE_FAULTS } from "./single-faults.ts";

/** Three applications in turn. */
const SEEDS = 3;
const ROW_MS_MAX = 60_000;

describe("every invariant holds under each fault by itself", () => {
  for (const { name, plan } of SINGLE_FAULTS) {
    test(
      `${name}, seeds 1 to ${SEEDS}`,
      async () => {
        const failed: RunResult[] = [];
        for (let seed = 1; seed <= SEEDS; seed++) {
          const result = await runPlan(plan(seed));
          if (result.verdict !== "pass") failed.push(result);
        }
        expect(failed).toEqual([]);
      },
      ROW_MS_MAX,
    );
  }
});

/** Runs of a leaderless network are longer. */
const DAG_SEEDS = 2;

describe("every invariant of a leaderless network holds under each fault by itself", () => {
  for (const { name, plan } of DAG_FAULTS) {
    test(
      `${name}, seeds 1 to ${DAG_SEEDS}`,
      async () => {
        const failed: RunResult[] = [];
        for (let seed = 1; seed <= DAG_SEEDS; seed++) {
          const result = await runPlan(plan(seed));
          if (result.verdict !== "pass") failed.push(result);
        }
        expect(failed).toEqual([]);
      },
      ROW_MS_MAX,
    );
  }
});

describe("every invariant of HotStuff holds under each fault by itself", () => {
  for (const { name, plan } of HOTSTUFF_FAULTS) {
    test(
      `${name}, seeds 1 to ${SEEDS}`,
      async () => {
        const failed: RunResult[] = [];
        for (let seed = 1; seed <= SEEDS; seed++) {
          const result = await runPlan(plan(seed));
          if (result.verdict !== "pass") failed.push(result);
        }
        expect(failed).toEqual([]);
      },
      ROW_MS_MAX,
    );
  }
});

const root = new URL("../../", import.meta.url);
const text = readFileSync(fileURLToPath(new URL("docs/fault-matrix.md", root)), "utf8");

/** The cells of each line of the table under a heading, the header's first. */
function tableUnder(heading: string): readonly (readonly string[])[] {
  const after = text.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return after
    .split("\n")
    .filter((line) => line.startsWith("|") && !/^\|[\s:|-]+\|$/.test(line))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function nameIn(cell: string | undefined): string {
  return /`([^`]+)`/.exec(cell ?? "")?.[1] ?? "";
}

describe("docs/fault-matrix.md", () => {
  const [header = [], ...rows] = tableUnder("The matrix");
  const tests = tableUnder("Tests that aim at one cell").slice(1);

  test("has a column for every invariant, and no other", () => {
    expect(header.slice(1).map(nameIn)).toEqual([...INVARIANTS]);
  });

  test("has a row for every fault kind, every circumstance, every attack and twins, and no other", () => {
    expect(rows.map(([name]) => nameIn(name))).toEqual(SINGLE_FAULTS.map(({ name }) => name));
  });

  test("has rows that HotStuff is run under as well", () => {
    expect(HOTSTUFF_FAULTS.map(({ name }) => name)).toEqual(SINGLE_FAULTS.map(({ name }) => name));
    expect(text).toContain("HotStuff");
  });

  test("has a row for every fault and attack that a leaderless network is run under, and no other", () => {
    const ofDag = tableUnder("A leaderless network").slice(1);
    expect(ofDag.map(([name]) => nameIn(name))).toEqual(DAG_FAULTS.map(({ name }) => name));
  });

  test("has no empty cell", () => {
    for (const row of rows) {
      expect(row).toHaveLength(header.length);
      for (const cell of row.slice(1)) expect(cell).toMatch(/^✓( [a-z]+)*$/);
    }
  });

  test("names only tests that there are, each under a mark that some cell has", () => {
    const used = new Set(rows.flatMap((row) => row.slice(1)).flatMap((cell) => cell.split(" ").slice(1)));
    expect(tests.map(([mark]) => mark ?? "").sort((left, right) => (left < right ? -1 : 1))).toEqual(
      [...used].sort((left, right) => (left < right ? -1 : 1)),
    );
    for (const [, file, name] of tests) {
      const source = readFileSync(fileURLToPath(new URL(nameIn(file), root)), "utf8");
      expect(source).toContain(`"${name}"`);
    }
  });

  test("names for every invariant the planted bugs by which it is shown to fail", () => {
    const shown = tableUnder("How each check is known to work").slice(1);
    const wanted = INVARIANTS.map((invariant) => [
      `\`${invariant}\``,
      WRONG_NODES.filter(({ expects }) => expects.includes(invariant))
        .map(({ bug }) => bug)
        .join("; "),
    ]);
    expect(shown.map(([invariant, , bugs]) => [invariant, bugs])).toEqual(wanted);
  });
});
