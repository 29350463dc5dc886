import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "cretoai-commands-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Two runtimes start one after the other, on a machine that may be busy; some callers of `bun test` set no time-out. */
const PATIENCE_MS = 60_000;
setDefaultTimeout(PATIENCE_MS);

type Child = Bun.Subprocess<"pipe", "pipe", "pipe">;

function node(script: string, ...args: string[]): Child {
  return Bun.spawn(["node", join(ROOT, script), ...args], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
}

/**
 * What Bun runs in the launcher's place until a signal comes. It also ends with its standard input, which this process
 * holds: whatever becomes of the launcher or of this test, it leaves nobody behind.
 */
function waiting(onSigterm: string): string {
  return `process.stdin.on("end", () => process.exit(9)).resume(); ${onSigterm} console.log("up");`;
}

/** Starts the launcher, and hands it over when what it runs has its handlers. */
async function whileUp(code: string, look: (child: Child) => Promise<void>): Promise<void> {
  const child = node("scripts/bun.cjs", "-e", code);
  try {
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("up\n");
    await look(child);
  } finally {
    child.stdin.end();
    await child.exited;
  }
}

describe("npm test's command", () => {
  const run = async (name: string, text: string): Promise<{ last: string | undefined; code: number }> => {
    const file = join(folder, `${name}.test.ts`);
    writeFileSync(file, `import { expect, test } from "bun:test";\n${text}`);
    const child = node("scripts/test.mjs", file);
    const lines = (await new Response(child.stdout).text()).trimEnd().split("\n");
    return { last: lines.at(-1), code: await child.exited };
  };
  const PASS = 'test("passes", () => expect(1).toBe(1));';

  test("counts what passed and what was skipped", async () => {
    const text = `${PASS}\ntest.skip("waits", () => {});`;
    expect(await run("passing", text)).toEqual({ last: "1 passed, 0 failed, 1 skipped", code: 0 });
  });

  test("counts what failed", async () => {
    const text = `${PASS}\ntest("fails", () => expect(1).toBe(2));`;
    expect(await run("failing", text)).toEqual({ last: "1 passed, 1 failed", code: 1 });
  });

  test("fails when a file throws, or when a test ends the process with status 0", async () => {
    expect(await run("throwing", 'throw new Error("top level");')).toEqual({ last: "0 passed, 1 failed", code: 1 });
    expect(await run("leaving", 'test("leaves", () => process.exit(0));')).toEqual({
      last: "0 passed, 1 failed",
      code: 1,
    });
  });
});

describe("the launcher", () => {
  test("passes on the exit status", async () => {
    expect(await node("scripts/bun.cjs", "-e", "process.exit(7)").exited).toBe(7);
  });

  for (const signal of ["SIGTERM", "SIGHUP"] as const) {
    test(`forwards ${signal}, and ends the way its child ended`, async () => {
      await whileUp(waiting(""), async (child) => {
        child.kill(signal);
        await child.exited;
        expect(child.signalCode).toBe(signal);
      });
    });
  }

  test("outlives SIGINT until its child has finished", async () => {
    await whileUp(waiting('process.on("SIGTERM", () => process.exit(3));'), async (child) => {
      // The kernel delivers the lower number first where both wait: the second finds a launcher that had the first.
      child.kill("SIGINT");
      child.kill("SIGTERM");
      expect(await child.exited).toBe(3);
    });
  });

  test("starts the command line", async () => {
    const child = node("bin/cretoai-node", "--help");
    expect(await new Response(child.stdout).text()).toContain("Usage: cretoai-node");
    expect(await child.exited).toBe(0);
  });
});
