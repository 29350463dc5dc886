import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { run } from "./command.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cretoai-keygen-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("keygen", () => {
  test("makes a key file that only its owner reads, and prints whose it is", async () => {
    const { code, stdout } = await run(["keygen", "--output", join(folder, "keys"), "--json"]);
    expect(code).toBe(0);
    const printed = JSON.parse(stdout);
    const file = join(folder, "keys/node.key.json");
    expect(printed).toMatchObject({ file, encrypted: false });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const { nodeId, publicKeys } = await readKeyFile(file);
    expect(printed).toMatchObject({
      nodeId,
      mlDsa87: publicKeys.mlDsa.toBase64(),
      ed25519: publicKeys.ed25519?.toBase64(),
    });
  });

  test("encrypts with the passphrase of a variable, and never prints it", async () => {
    const env = { SECRET_WORDS: "correct horse battery staple" };
    const { code, stdout, stderr } = await run(["keygen", "--output", folder, "--passphrase-env", "SECRET_WORDS"], {
      env,
    });
    expect(code).toBe(0);
    const file = join(folder, "node.key.json");
    expect(stdout + stderr + readFileSync(file, "utf8")).not.toContain(env.SECRET_WORDS);
    expect(readKeyFile(file)).rejects.toThrow("encrypted");
    expect((await readKeyFile(file, { passphrase: env.SECRET_WORDS })).nodeId).toBe(
      /node id\s+([0-9a-f]{64})/.exec(stdout)?.[1] as never,
    );
  });

  test("refuses a variable that is empty, before it makes a key", async () => {
    const { code, stderr } = await run(["keygen", "--output", folder, "--passphrase-env", "NOT_SET_ANYWHERE"]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("NOT_SET_ANYWHERE")]);
    expect(() => statSync(join(folder, "node.key.json"))).toThrow();
  });

  test("replaces a key only when told to", async () => {
    const file = join(folder, "node.key.json");
    await run(["keygen", "--output", folder]);
    const before = readFileSync(file, "utf8");
    const refused = await run(["keygen", "--output", folder]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(file)]);
    expect(readFileSync(file, "utf8")).toBe(before);
    expect((await run(["keygen", "--output", folder, "--force"])).code).toBe(0);
    expect(readFileSync(file, "utf8")).not.toBe(before);
  });

  test("leaves Ed25519 out where the network has no hybrid mode", async () => {
    const { stdout } = await run(["keygen", "--output", folder, "--no-hybrid", "--json"]);
    expect(JSON.parse(stdout).ed25519).toBeNull();
  });
});
