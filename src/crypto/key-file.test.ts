import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readKeyFile, writeKeyFile } from "./key-file.ts";
import { KeyFileError, type KeyFileErrorCode } from "./key-file-error.ts";
import { generateKeyPair } from "./key-pair.ts";

const hybridPair = generateKeyPair({ hybrid: true });
const otherPair = generateKeyPair({ hybrid: true });

let folder = "";
let path = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "key-file-"));
  path = join(folder, "node.key");
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

const modeOf = (name: string) => (statSync(name).mode & 0o777).toString(8);

async function failureOf(action: Promise<unknown>): Promise<KeyFileError> {
  try {
    await action;
  } catch (error) {
    if (error instanceof KeyFileError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

async function codeOf(action: Promise<unknown>): Promise<KeyFileErrorCode> {
  return (await failureOf(action)).code;
}

interface Json {
  version?: unknown;
  algorithms?: unknown;
  nodeId?: unknown;
  publicKeys?: unknown;
  seeds?: unknown;
  extra?: unknown;
}

function edit(change: (file: Json) => void): void {
  const file = JSON.parse(readFileSync(path, "utf8")) as Json;
  change(file);
  writeFileSync(path, JSON.stringify(file));
}

describe("a key file", () => {
  test.each([true, false])("gives back the identity that was written (hybrid: %p)", async (hybrid) => {
    const pair = generateKeyPair({ hybrid });
    await writeKeyFile(path, pair);
    const read = await readKeyFile(path);
    expect(read.nodeId).toBe(pair.nodeId);
    expect(read.publicKeys).toEqual(pair.publicKeys);
    expect(read.seeds).toEqual(pair.seeds);
  });

  test("has mode 0600 in folders of mode 0700, whatever the umask", async () => {
    const deep = join(folder, "a", "b", "node.key");
    const umask = process.umask(0);
    try {
      await writeKeyFile(deep, hybridPair);
    } finally {
      process.umask(umask);
    }
    expect([modeOf(deep), modeOf(join(folder, "a", "b")), modeOf(join(folder, "a"))]).toEqual(["600", "700", "700"]);
  });

  test("leaves nothing beside it", async () => {
    await writeKeyFile(path, hybridPair);
    await codeOf(writeKeyFile(path, otherPair));
    await writeKeyFile(path, otherPair, { overwrite: true });
    expect(readdirSync(folder)).toEqual(["node.key"]);
  });

  test("is not replaced unless that is asked for", async () => {
    await writeKeyFile(path, hybridPair);
    expect(await codeOf(writeKeyFile(path, otherPair))).toBe("exists");
    expect((await readKeyFile(path)).nodeId).toBe(hybridPair.nodeId);
    await writeKeyFile(path, otherPair, { overwrite: true });
    expect((await readKeyFile(path)).nodeId).toBe(otherPair.nodeId);
    expect(modeOf(path)).toBe("600");
  });

  test("goes to one of two writers at once", async () => {
    const outcomes = await Promise.allSettled([writeKeyFile(path, hybridPair), writeKeyFile(path, otherPair)]);
    expect(outcomes.map((outcome) => outcome.status).sort((a, b) => a.localeCompare(b))).toEqual([
      "fulfilled",
      "rejected",
    ]);
    const winner = outcomes[0].status === "fulfilled" ? hybridPair : otherPair;
    expect((await readKeyFile(path)).nodeId).toBe(winner.nodeId);
  });

  test.each(["640", "604", "620", "666", "610"])(
    "is not read with mode %s, and the error says what to run",
    async (mode) => {
      await writeKeyFile(path, hybridPair);
      chmodSync(path, Number.parseInt(mode, 8));
      const failure = await failureOf(readKeyFile(path));
      expect(failure.code).toBe("permissions");
      expect(failure.message).toContain(`chmod 600 ${path}`);
      chmodSync(path, 0o600);
      expect((await readKeyFile(path)).nodeId).toBe(hybridPair.nodeId);
    },
  );

  test("may be read-only", async () => {
    await writeKeyFile(path, hybridPair);
    chmodSync(path, 0o400);
    expect((await readKeyFile(path)).nodeId).toBe(hybridPair.nodeId);
  });

  test("that is missing is said to be missing", async () => {
    const failure = await failureOf(readKeyFile(path));
    expect(failure.code).toBe("not-found");
    expect(failure.message).toContain("keygen");
    expect(failure.path).toBe(path);
  });

  test("that is a folder, or lies below a file, is an input or output error", async () => {
    chmodSync(folder, 0o700);
    expect(await codeOf(readKeyFile(folder))).toBe("io");
    writeFileSync(path, "x");
    expect(await codeOf(writeKeyFile(join(path, "below"), hybridPair))).toBe("io");
  });
});

describe("a key file with a passphrase", () => {
  test("opens with it, and holds no seed in the clear", async () => {
    await writeKeyFile(path, hybridPair, { passphrase: "correct horse" });
    const text = readFileSync(path, "utf8");
    expect(text).not.toContain(hybridPair.seeds.mlDsaSeed.toBase64());
    expect(text).not.toContain(hybridPair.seeds.ed25519Seed?.toBase64() ?? "?");
    expect((await readKeyFile(path, { passphrase: "correct horse" })).seeds).toEqual(hybridPair.seeds);
  });

  test("opens with neither another passphrase nor none", async () => {
    await writeKeyFile(path, hybridPair, { passphrase: "correct horse" });
    expect(await codeOf(readKeyFile(path, { passphrase: "correct horsf" }))).toBe("passphrase-wrong");
    expect(await codeOf(readKeyFile(path))).toBe("passphrase-required");
    expect(await codeOf(readKeyFile(path, { passphrase: "" }))).toBe("passphrase-required");
  });

  test("opens with the passphrase as another keyboard composes it", async () => {
    await writeKeyFile(path, hybridPair, { passphrase: "caf\u00e9" });
    expect((await readKeyFile(path, { passphrase: "cafe\u0301" })).nodeId).toBe(hybridPair.nodeId);
  });

  test("is not written with an empty one", async () => {
    expect(await codeOf(writeKeyFile(path, hybridPair, { passphrase: "" }))).toBe("passphrase-empty");
    expect(existsSync(path)).toBe(false);
  });

  test("is sealed anew each time, under a fresh salt and nonce", async () => {
    const seals = [];
    for (const _ of [1, 2]) {
      await writeKeyFile(path, hybridPair, { passphrase: "x", overwrite: true });
      seals.push(JSON.parse(readFileSync(path, "utf8")).seeds);
    }
    for (const name of ["salt", "nonce", "ciphertext"]) expect(seals[0][name]).not.toBe(seals[1][name]);
  });

  test("does not open when its ciphertext was changed or comes from another node's file", async () => {
    await writeKeyFile(path, otherPair, { passphrase: "x" });
    const foreign = JSON.parse(readFileSync(path, "utf8")).seeds;
    await writeKeyFile(path, hybridPair, { passphrase: "x", overwrite: true });
    const own = JSON.parse(readFileSync(path, "utf8")).seeds;
    edit((file) => (file.seeds = foreign));
    expect(await codeOf(readKeyFile(path, { passphrase: "x" }))).toBe("passphrase-wrong");
    const bytes = Uint8Array.fromBase64(own.ciphertext);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    edit((file) => (file.seeds = { ...own, ciphertext: bytes.toBase64() }));
    expect(await codeOf(readKeyFile(path, { passphrase: "x" }))).toBe("passphrase-wrong");
  });
});

describe("a damaged key file", () => {
  const changes: [string, KeyFileErrorCode, (file: Json) => void][] = [
    ["another version", "version", (file) => (file.version = 2)],
    ["no version", "damaged", (file) => delete file.version],
    ["a version that is text", "damaged", (file) => (file.version = "1")],
    ["no seeds", "damaged", (file) => delete file.seeds],
    ["a field too many", "damaged", (file) => (file.extra = 1)],
    ["a node id that is none", "damaged", (file) => (file.nodeId = "xyz")],
    ["another's node id", "node-id-mismatch", (file) => (file.nodeId = otherPair.nodeId)],
    ["another's public keys", "node-id-mismatch", (file) => (file.publicKeys = foreignPublicKeys())],
    ["other algorithms", "damaged", (file) => (file.algorithms = ["ML-DSA-65", "Ed25519"])],
    ["seeds that are not base64", "damaged", (file) => (file.seeds = { ...plainSeeds(), mlDsa: "%%%" })],
    ["a short seed", "damaged", (file) => (file.seeds = { ...plainSeeds(), mlDsa: "AAAA" })],
    ["no Ed25519 seed", "damaged", (file) => (file.seeds = { ...plainSeeds(), ed25519: null })],
    ["another's seed", "node-id-mismatch", (file) => (file.seeds = { ...plainSeeds(), mlDsa: foreignSeed() })],
    ["an unknown protection", "damaged", (file) => (file.seeds = { ...plainSeeds(), protection: "rot13" })],
  ];

  const plainSeeds = () => ({
    protection: "none",
    mlDsa: hybridPair.seeds.mlDsaSeed.toBase64(),
    ed25519: hybridPair.seeds.ed25519Seed?.toBase64() ?? null,
  });
  const foreignPublicKeys = () => ({
    mlDsa: otherPair.publicKeys.mlDsa.toBase64(),
    ed25519: otherPair.publicKeys.ed25519?.toBase64() ?? null,
  });
  const foreignSeed = () => otherPair.seeds.mlDsaSeed.toBase64();

  test.each(changes)("with %s is refused as %s", async (_, code, change) => {
    await writeKeyFile(path, hybridPair);
    edit(change);
    expect(await codeOf(readKeyFile(path))).toBe(code);
  });

  test("with another's public keys and their node id does not pass for that node", async () => {
    await writeKeyFile(path, otherPair);
    const foreign = JSON.parse(readFileSync(path, "utf8")) as Json;
    await writeKeyFile(path, hybridPair, { overwrite: true });
    edit((file) => Object.assign(file, { nodeId: foreign.nodeId, publicKeys: foreign.publicKeys }));
    expect(await codeOf(readKeyFile(path))).toBe("node-id-mismatch");
  });

  test("is refused when it is cut anywhere", async () => {
    await writeKeyFile(path, hybridPair);
    const whole = readFileSync(path, "utf8");
    for (let size = 0; size < whole.length - 2; size += 97) {
      writeFileSync(path, whole.slice(0, size));
      expect(await codeOf(readKeyFile(path))).toBe("damaged");
    }
  });

  test("is refused unread when it is far too long", async () => {
    writeFileSync(path, " ".repeat(100_000), { mode: 0o600 });
    const failure = await failureOf(readKeyFile(path));
    expect(failure.code).toBe("damaged");
    expect(failure.message).toContain("100000 bytes");
  });

  test("never shows a seed in its error", async () => {
    await writeKeyFile(path, hybridPair);
    edit((file) => (file.seeds = { ...plainSeeds(), protection: "rot13" }));
    expect(String((await failureOf(readKeyFile(path))).message)).not.toContain(hybridPair.seeds.mlDsaSeed.toBase64());
  });
});
