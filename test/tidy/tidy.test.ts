import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { filesOf, parseModule, readModules, readText, withoutComments } from "./modules.ts";
import { browserFaults, cycles, isTest, layerFaults, packageFaults, wordFaults } from "./rules.ts";

const LINES_MAX = 400;
const modules = await readModules("src/**/*.ts");

describe("the project's own lint", () => {
  test("sees the source at all", () => {
    expect(modules.length).toBeGreaterThan(100);
    expect(modules.flatMap(({ imports }) => imports).length).toBeGreaterThan(300);
  });

  test("imports point downwards, and adapters know ports only", () => {
    expect(layerFaults(modules)).toEqual([]);
  });

  test("pure code imports no package", () => {
    expect(packageFaults(modules)).toEqual([]);
  });

  test("the client imports nothing but itself", () => {
    expect(browserFaults(modules)).toEqual([]);
    expect(browserFaults([parseModule("src/client/a.ts", 'import { readFileSync } from "node:fs";')])).toHaveLength(1);
    expect(layerFaults([parseModule("src/client/a.ts", 'import type { Hash } from "../lib/hash.ts";')])).toHaveLength(
      1,
    );
  });

  test("no imports go in a circle", () => {
    expect(cycles(modules)).toEqual([]);
  });

  test("no banned words", () => {
    expect(wordFaults(modules)).toEqual([]);
  });

  test(`no source file has more than ${LINES_MAX} lines`, async () => {
    const long: string[] = [];
    for (const { file } of modules.filter((module) => !isTest(module.file))) {
      if ((await readText(file)).split("\n").length > LINES_MAX + 1) long.push(file);
    }
    expect(long).toEqual([]);
  });

  test("every relative link in the documents leads somewhere", async () => {
    const broken: string[] = [];
    for (const file of filesOf("**/*.md")) {
      for (const match of (await readText(file)).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
        const target = join(import.meta.dirname, "../..", dirname(file), match[1] ?? "");
        if (!existsSync(target)) broken.push(`${file}: ${match[1]}`);
      }
    }
    expect(broken).toEqual([]);
  });
});

describe("the lint notices", () => {
  const one = (file: string, text: string) => [parseModule(file, text)];

  test("an import upwards, over several lines or dynamic", () => {
    expect(layerFaults(one("src/lib/a.ts", 'import {\n  x,\n} from "../dag/b.ts";'))).toHaveLength(1);
    expect(layerFaults(one("src/dag/a.ts", 'export type { X } from "../node/loop.ts";'))).toHaveLength(1);
    expect(layerFaults(one("src/dag/a.ts", 'const m = await import("../node/loop.ts");'))).toHaveLength(1);
  });

  test("an adapter that looks into the loop, or at another adapter", () => {
    expect(layerFaults(one("src/network/a.ts", 'import { NodeLoop } from "../node/loop.ts";'))).toHaveLength(1);
    expect(layerFaults(one("src/network/a.ts", 'import { x } from "../storage/limits.ts";'))).toHaveLength(1);
    expect(layerFaults(one("src/network/a.ts", 'import type { Clock } from "../node/ports.ts";'))).toEqual([]);
  });

  test("an engine that looks into another engine", () => {
    const fault = one("src/consensus/hotstuff/a.ts", 'import { x } from "../pbft/slot.ts";');
    expect(layerFaults(fault)).toHaveLength(1);
  });

  test("a package in pure code, but not in its tests", () => {
    expect(packageFaults(one("src/dag/a.ts", 'import type { Server } from "bun";'))).toHaveLength(1);
    expect(packageFaults(one("src/dag/a.test.ts", 'import { test } from "bun:test";'))).toEqual([]);
    expect(packageFaults(one("src/api/a.ts", 'import { z } from "zod";'))).toEqual([]);
  });

  test("consensus and replication that know each other", () => {
    expect(layerFaults(one("src/consensus/a.ts", 'import { x } from "../replication/b.ts";'))).toHaveLength(1);
    expect(layerFaults(one("src/replication/a.ts", 'import { x } from "../consensus/engine.ts";'))).toHaveLength(1);
  });

  test("an adapter in the node, except in its wiring", () => {
    const text = 'import { x } from "../storage/limits.ts";';
    expect(layerFaults(one("src/node/loop.ts", text))).toHaveLength(1);
    expect(layerFaults(one("src/node/start.ts", text))).toEqual([]);
  });

  test("a circle of two", () => {
    const pair = [
      parseModule("src/lib/a.ts", 'import { b } from "./b.ts";'),
      parseModule("src/lib/b.ts", 'import { a } from "./a.ts";'),
    ];
    expect(cycles(pair)).toHaveLength(1);
  });

  test("a promise in pure code, a bare sort and a bare TODO, but not in comments", () => {
    expect(wordFaults(one("src/dag/a.ts", "export async function f() {}"))).toHaveLength(1);
    expect(wordFaults(one("src/dag/a.ts", "/** async */\n// TODO later\nexport const x = 1;"))).toEqual([]);
    expect(wordFaults(one("src/api/a.ts", "list.sort();"))).toHaveLength(1);
    expect(withoutComments('const url = "http://a"; // b')).toContain("http://a");
  });
});
