import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "cretoai-params-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("cretoai-node params", () => {
  test("prints parameters, safety, liveness and what certificates add", async () => {
    const { code, stdout, stderr } = await run(["params", "--nodes", "100", "--byzantine", "20"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("k (sampleSize)             30");
    expect(stdout).toMatch(/probability at most +0\.01/);
    expect(stdout).toMatch(/expected polls +43250/);
    expect(stdout).toContain("agreement is certain");
  });

  test("takes as many Byzantine validators as are tolerated unless told, and says when there are more", async () => {
    expect((await run(["params", "--nodes", "7"])).stdout).toStartWith("7 validators, 2 of them Byzantine");
    const { code, stdout } = await run(["params", "--nodes", "7", "--byzantine", "3"]);
    expect(code).toBe(0);
    expect(stdout).toContain("AGREEMENT IS NOT CERTAIN   3 > 2");
    expect(stdout).toContain("needs 10 validators");
    expect(stdout).toContain("NOT LIVE");
  });

  test("prints JSON that a program can read, with what never ends as a word", async () => {
    const { stdout } = await run(["params", "--nodes", "4", "--byzantine", "2", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      nodes: 4,
      params: { sampleSize: 4, confidenceThreshold: 3 },
      liveness: { pollSucceeds: 0, expectedPolls: "infinite" },
    });
  });

  test("draws a plot", async () => {
    const file = join(folder, "params.svg");
    expect((await run(["params", "--nodes", "30", "--plot", file])).code).toBe(0);
    expect(readFileSync(file, "utf8")).toStartWith("<svg ");
  });

  const WRONG: readonly (readonly [args: readonly string[], message: string])[] = [
    [["--nodes", "0"], '--nodes is "0", but must be a whole number 1 to 2000'],
    [["--nodes", "4", "--byzantine", "4"], '--byzantine is "4", but must be a whole number 0 to 3 (below --nodes, 4)'],
    [["--nodes", "50", "--k", "51"], "--k: sampleSize is 51, but must be a whole number 1 to 50"],
    [["--nodes", "50", "--alpha", "15"], "--alpha: confidenceThreshold is 15, but must be a whole number 16 to 30"],
    [["--nodes", "50", "--alpha-preference", "25"], "--alpha-preference: preferenceThreshold is 25, but must be"],
    [["--nodes", "50", "--beta", "x"], '--beta is "x", but must be a whole number'],
    [["--nodes", "50", "--plot", "params.png"], '--plot is "params.png", but must end in .svg'],
    [["--nodes", "50", "--plot", "no/such/folder/x.svg"], "there is no folder no/such/folder"],
  ];
  test.each(WRONG.map(([args, message]) => [args.join(" "), args, message] as const))(
    "refuses %s",
    async (_, args, message) => {
      const { code, stdout, stderr } = await run(["params", ...args], { cwd: folder });
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(message);
    },
  );
});
