import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./command.ts";

const COMMANDS = [
  "start",
  "cluster",
  "testnet",
  "keygen",
  "submit",
  "status",
  "health",
  "peers",
  "validators",
  "params",
  "sim",
];

const folder = mkdtempSync(join(tmpdir(), "cretoai-usage-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** An address where nobody listens: the port was free a moment ago. */
function nowhere(): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const url = server.url.origin;
  void server.stop(true);
  return url;
}

describe("the command line", () => {
  test("names every command and every exit status in its help", async () => {
    const { code, stdout } = await run(["--help"]);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command} `, "m"));
    expect(stdout).toContain("3 no node answers");
  });

  test.each(COMMANDS)("shows examples in the help of %s", async (command) => {
    const { code, stdout } = await run([command, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples:\n(?:.*\n)*.*cretoai-node ${command}`));
    // Every option of an example is one of the command's.
    const [options = "", examples = ""] = stdout.split("Examples:");
    for (const [option] of examples.matchAll(/(?<=\s)--[a-z-]+/g)) expect(options).toContain(option);
  });

  const WRONG: readonly (readonly string[])[] = [
    [],
    ["dance"],
    ["start"],
    ["start", "--config"],
    ["testnet", "--validators", "4"],
    ["testnet", "--validators", "0", "--output", "x"],
    ["testnet", "--validators", "four", "--output", "x"],
    ["testnet", "--validators", "4", "--engine", "raft", "--output", "x"],
    ["testnet", "--validators", "4", "--output", "x", "--base-port", "65530"],
    ["testnet", "--validators", "4", "--output", "x", "--host", "0.0.0.0"],
    ["testnet", "--validators", "4", "--output", "x", "--host", "a b"],
    ["submit", "x", "--batch", "0"],
    ["submit", "x", "--file", "y"],
    ["submit", "x", "--url", "localhost:8080"],
    ["status", "--url", "http://127.0.0.1:1", "--config", "x"],
    ["cluster", "--input", "/no/such/file"],
    ["peers", "bann", "node-4"],
    ["validators", "lst"],
  ];
  test.each(WRONG.map((args) => [args.join(" "), args] as const))("answers 2 to: %s", async (_, args) => {
    const { code, stdout, stderr } = await run(args, { cwd: folder });
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).not.toBe("");
    expect(stderr).not.toContain("    at ");
  });

  test.each(["status", "health", "peers", "validators"])(
    "answers 3 where no node is to be asked by %s",
    async (command) => {
      const url = nowhere();
      const { code, stdout, stderr } = await run([command, "--url", url]);
      expect([code, stdout]).toEqual([3, ""]);
      expect(stderr).toStartWith(`cretoai-node: no node answers at ${url}`);
    },
  );

  test("answers 3 where no node is to submit to", async () => {
    expect((await run(["submit", "hello", "--url", nowhere()])).code).toBe(3);
  });

  test("answers 1 for a configuration that cannot be used, and says each problem", async () => {
    const file = join(folder, "node.toml");
    writeFileSync(file, '[network]\nquic_prot = 1\n[consensus]\nalgorithm = "raft"\n');
    const { code, stderr } = await run(["start", "--config", file]);
    expect(code).toBe(1);
    expect(stderr).toContain('line 2: network.quic_prot is not a key; did you mean "quic_port"?');
    expect(stderr).toContain('line 4: consensus.algorithm is "raft"');
    expect(stderr).not.toContain("    at ");
    const debug = await run(["start", "--config", file], { env: { CRETOAI_DEBUG: "1" } });
    expect(debug.stderr).toContain("    at ");
  });

  test("answers 1 for a configuration that is not there", async () => {
    const { code, stderr } = await run(["start", "--config", join(folder, "none.toml")]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("cannot be read")]);
  });
});
