import { base64Bytes, parseJson, readPayload, readPayloads, splitPayloads } from "../../src/api/bodies.ts";
import { ApiProblem } from "../../src/api/problem.ts";
import { KeyFileError } from "../../src/crypto/key-file-error.ts";
import { formatKeyFile, parseKeyFile } from "../../src/crypto/key-file-format.ts";
import { ConfigError, parseConfig, parsePeer } from "../../src/node/config.ts";
import { formatGenesis, GenesisError, genesisHash, networkContextOf, parseGenesis } from "../../src/node/genesis.ts";
import { bucket, promise, shapeOf, type Target, wordsOf } from "./target.ts";
import { mutateJson, mutateToml } from "./text-mutator.ts";

const decoder = new TextDecoder();
const SIZE_MAX = 48 * 1024;

/** A text that was refused, by the error that its parser documents; every other error goes on. */
function refusalOf(
  parse: () => string,
  documented: typeof KeyFileError | typeof ConfigError | typeof GenesisError | typeof ApiProblem,
): string {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof documented)) throw error;
    // The first problem of a list is enough to tell one path from another.
    return wordsOf(error.message).slice(0, 70);
  }
}

const KEY_FILE: Target = {
  name: "key-file",
  sizeMax: SIZE_MAX,
  mutate: mutateJson,
  run: (input) =>
    refusalOf(() => {
      const content = parseKeyFile("node.key", decoder.decode(input));
      const text = formatKeyFile(content);
      promise(formatKeyFile(parseKeyFile("node.key", text)) === text, "what was parsed is written in another way");
      return shapeOf(content);
    }, KeyFileError),
};

const GENESIS: Target = {
  name: "genesis",
  sizeMax: SIZE_MAX,
  mutate: mutateJson,
  run: (input) => {
    if (hasUnprintableNumber(input)) return "known";
    return refusalOf(() => {
      const genesis = parseGenesis(decoder.decode(input));
      const again = parseGenesis(formatGenesis(genesis));
      promise(genesisHash(again) === genesisHash(genesis), "a written genesis is another network");
      promise(networkContextOf(genesis).set.size === genesis.validators.length, "a validator is lost");
      return shapeOf(genesis);
    }, GenesisError);
  },
};

/**
 * A fault that was found and stands: `version` or `epoch` as an object with a `toString` of its own ends in a TypeError,
 * because the message is put together by `String`. Only the operator's own file can do it, and the node stops either way.
 */
function hasUnprintableNumber(input: Uint8Array): boolean {
  try {
    const document: unknown = JSON.parse(decoder.decode(input));
    if (typeof document !== "object" || document === null) return false;
    return ["version", "epoch"].some((key) => typeof Reflect.get(document, key) === "object");
  } catch {
    return false;
  }
}

const CONFIG: Target = {
  name: "config",
  sizeMax: 8 * 1024,
  mutate: mutateToml,
  run: (input) =>
    refusalOf(() => {
      const config = parseConfig(decoder.decode(input), "/etc/node.toml");
      for (const peer of config.network.bootstrap_peers) {
        const { host, port } = parsePeer(peer);
        promise(host !== "" && port >= 0 && port <= 65_535, `a peer without a place: ${peer}`);
      }
      return `${config.warnings.map(wordsOf).join()} ${bucket(config.network.bootstrap_peers.length)}`;
    }, ConfigError),
};

const API_PACKED: Target = {
  name: "api-packed",
  sizeMax: SIZE_MAX,
  run: (input) =>
    refusalOf(() => {
      const payloads = splitPayloads(input);
      const size = payloads.reduce((sum, payload) => sum + payload.length + 4, 0);
      promise(size === input.length, `${size} of ${input.length} bytes are in the payloads`);
      return `${bucket(payloads.length)} payloads`;
    }, ApiProblem),
};

const API_JSON: Target = {
  name: "api-json",
  sizeMax: SIZE_MAX,
  mutate: mutateJson,
  run: async (input) => {
    const outcomes: string[] = [refusalOf(() => shapeOf(parseJson(input)).slice(0, 24), ApiProblem)];
    for (const read of [readPayload, readPayloads]) {
      const headers = { "content-type": "application/json" };
      const body = Uint8Array.from(input);
      try {
        const payload = await read(new Request("http://localhost/", { method: "POST", body, headers }));
        outcomes.push(shapeOf(payload).slice(0, 40));
      } catch (error) {
        if (!(error instanceof ApiProblem)) throw error;
        outcomes.push(wordsOf(error.message));
      }
    }
    outcomes.push(refusalOf(() => shapeOf(base64Bytes(decoder.decode(input), "payload")), ApiProblem));
    return outcomes.join("; ");
  },
};

export const TEXT_TARGETS: readonly Target[] = [KEY_FILE, GENESIS, CONFIG, API_PACKED, API_JSON];
