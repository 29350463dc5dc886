import { describe, expect, test } from "bun:test";
import { blake3 } from "@noble/hashes/blake3.js";
import { keyPairFromSeeds } from "../crypto/key-pair.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";
import {
  formatGenesis,
  type Genesis,
  GenesisError,
  type GenesisErrorCode,
  genesisHash,
  networkContextOf,
  parseGenesis,
} from "./genesis.ts";

/** A change of it makes every existing network another one. */
const GOLDEN = "01e9628b80126b1fdd48c62ff520a79fa49d1a144d0ad7619ac7ece8ac6db3cb";

const PAIRS = [1, 2, 3, 4].map((seed) =>
  keyPairFromSeeds({ mlDsaSeed: new Uint8Array(32).fill(seed), ed25519Seed: new Uint8Array(32).fill(seed + 100) }),
);

const GENESIS: Genesis = {
  network: "golden",
  createdAt: "2026-01-31T12:00:00.000Z",
  engine: "pbft",
  hybrid: true,
  policy: { min: 2, max: 9 },
  validators: PAIRS.map(({ nodeId, publicKeys }, index) => ({
    name: `node-${index + 1}`,
    nodeId,
    publicKeys,
    address: `127.0.0.1:${9000 + 10 * index}`,
  })),
};

type Document = Record<string, unknown> & { validators: Record<string, unknown>[] };

/** The golden genesis with one thing changed. */
function changed(change: (document: Document) => void): string {
  const document: Document = JSON.parse(formatGenesis(GENESIS));
  change(document);
  return JSON.stringify(document);
}

function validatorChanged(field: string, value: unknown): string {
  return changed(({ validators: [first] }) => Object.assign(first ?? {}, { [field]: value }));
}

function refusal(text: string): { code: GenesisErrorCode; message: string } {
  try {
    parseGenesis(text);
  } catch (error) {
    if (error instanceof GenesisError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("was not refused");
}

describe("a genesis", () => {
  test("survives being written and read", () => {
    expect(parseGenesis(formatGenesis(GENESIS))).toEqual(GENESIS);
  });

  test("without the hybrid mode has no second keys", () => {
    const validators = PAIRS.map(({ publicKeys: { mlDsa } }, index) => {
      const { nodeId, publicKeys } = keyPairFromSeeds({ mlDsaSeed: new Uint8Array(32).fill(index), ed25519Seed: null });
      expect(publicKeys.mlDsa.length).toBe(mlDsa.length);
      return { name: `n${index}`, nodeId, publicKeys, address: `h${index}:1` };
    });
    const genesis = { ...GENESIS, hybrid: false, validators };
    expect(parseGenesis(formatGenesis(genesis))).toEqual(genesis);
    expect(genesisHash(genesis)).not.toBe(genesisHash(GENESIS));
  });

  test("makes the validator set and the network's name", () => {
    const { genesis, set } = networkContextOf(GENESIS);
    expect(genesis).toBe(genesisHash(GENESIS));
    expect([set.size, set.faultTolerance, set.quorum, Number(set.epoch)]).toEqual([4, 1, 3, 0]);
  });
});

describe("the hash of a genesis", () => {
  test("is the golden one", () => {
    expect<string>(genesisHash(GENESIS)).toBe(GOLDEN);
  });

  test("is BLAKE3 of the bincode layout, put together by hand", () => {
    const u64 = (value: number): string => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes.toString("hex");
    };
    const text = (value: string): string => u64(value.length) + Buffer.from(value).toString("hex");
    const ids = GENESIS.validators.map(({ nodeId }) => String(nodeId)).sort((a, b) => (a < b ? -1 : 1));
    const layout = [
      Buffer.from("cretoai/v1/genesis\0").toString("hex"),
      "0100",
      text("golden"),
      text("2026-01-31T12:00:00.000Z"),
      text("pbft"),
      "01",
      u64(0),
      "0200",
      "0900",
      u64(4),
      ...ids,
    ];
    expect(Buffer.from(blake3(Buffer.from(layout.join(""), "hex"))).toString("hex")).toBe(GOLDEN);
  });

  test("covers what decides who may vote and how", () => {
    const others: Genesis[] = [
      { ...GENESIS, network: "other" },
      { ...GENESIS, createdAt: "2026-01-31T12:00:00.001Z" },
      { ...GENESIS, hybrid: false },
      { ...GENESIS, validators: GENESIS.validators.slice(1) },
    ];
    expect(new Set([GENESIS, ...others].map(genesisHash)).size).toBe(others.length + 1);
  });

  test("does not cover names, addresses and the order in the file, so that an operator may move a node", () => {
    const moved = GENESIS.validators.map((validator) => ({ ...validator, name: "x", address: "elsewhere:1" }));
    expect(genesisHash({ ...GENESIS, validators: moved.reverse() })).toBe(genesisHash(GENESIS));
  });
});

const LEDGER: Genesis = {
  ...GENESIS,
  application: "ledger",
  accounts: new Map([
    ["node-1/main", 1_000n],
    ["node-2/main", 2n ** 63n],
  ]),
};

describe("a genesis with an application", () => {
  test("survives being written and read, balances of 64 bits too", () => {
    expect(parseGenesis(formatGenesis(LEDGER))).toEqual(LEDGER);
    expect(parseGenesis(formatGenesis({ ...LEDGER, engine: "avalanche" }))).toEqual({ ...LEDGER, engine: "avalanche" });
    expect(parseGenesis(formatGenesis({ ...GENESIS, application: "log" })).application).toBe("log");
  });

  test("that is the log is the network that it was before it was said", () => {
    expect<string>(genesisHash({ ...GENESIS, application: "log" })).toBe(GOLDEN);
  });

  test("has a name of its own for every engine, application, balance and owner", () => {
    const renamed = GENESIS.validators.map((validator, index) =>
      index === 0 ? { ...validator, name: "x" } : validator,
    );
    const others: Genesis[] = [
      { ...GENESIS, engine: "avalanche" },
      { ...GENESIS, application: "key-value" },
      LEDGER,
      { ...LEDGER, engine: "avalanche" },
      { ...LEDGER, accounts: new Map([["node-1/main", 1_000n]]) },
      { ...LEDGER, accounts: new Map([...(LEDGER.accounts ?? []), ["node-3/main", 1n]]) },
      { ...LEDGER, validators: renamed },
    ];
    expect(new Set([GENESIS, ...others].map(genesisHash)).size).toBe(others.length + 1);
  });

  test("has the same name in whatever order balances and validators stand", () => {
    const accounts = new Map([...(LEDGER.accounts ?? [])].reverse());
    const validators = [...LEDGER.validators].reverse();
    expect(genesisHash({ ...LEDGER, accounts, validators })).toBe(genesisHash(LEDGER));
    const moved = LEDGER.validators.map((validator) => ({ ...validator, address: "elsewhere:1" }));
    expect(genesisHash({ ...LEDGER, validators: moved })).toBe(genesisHash(LEDGER));
  });

  const ledger = (accounts: unknown): string =>
    changed((root) => Object.assign(root, { application: "ledger", accounts }));
  const cases: readonly (readonly [why: string, text: string, says: string])[] = [
    ["of another application", changed((root) => (root["application"] = "wiki")), '"log" or "ledger" or "key-value"'],
    ["with balances but no ledger", changed((root) => (root["accounts"] = {})), 'belongs to application "ledger"'],
    ["of a ledger without balances", changed((root) => (root["application"] = "ledger")), "the opening balances"],
    ["of a ledger without a unit", ledger({}), "must hold a balance"],
    ["with a list of balances", ledger(["node-1/main"]), "must be an object"],
    ["with an account of nobody", ledger({ main: "1" }), "<owner>/<account>"],
    ["with an account of a stranger", ledger({ "node-9/main": "1" }), "validator's name"],
    ["with a balance of nothing", ledger({ "node-1/main": "0" }), "a whole number, 1 to 18446744073709551615"],
    ["with a balance that is a number", ledger({ "node-1/main": 1 }), "must be a text"],
    ["with a fraction", ledger({ "node-1/main": "1.5" }), "whole number"],
    ["with 2^64", ledger({ "node-1/main": String(2n ** 64n) }), "whole number"],
    [
      "with more than 2^64 - 1 together",
      ledger({ "node-1/main": String(2n ** 64n - 1n), "node-2/main": "1" }),
      "together",
    ],
    [
      "with a validator whose name owns nothing",
      changed((root) => {
        Object.assign(root, { application: "ledger", accounts: { "node-2/main": "1" } });
        Object.assign(root.validators[0] ?? {}, { name: "Bank of Nørre" });
      }),
      "validators[0].name",
    ],
    [
      "with a validator whose name looks like an id",
      changed((root) => {
        Object.assign(root, { application: "ledger", accounts: { "node-2/main": "1" } });
        Object.assign(root.validators[0] ?? {}, { name: "a".repeat(32) });
      }),
      "32 hexadecimal digits",
    ],
  ];
  test.each(cases)("is refused %s", (_, text, says) => {
    expect(refusal(text)).toMatchObject({ code: "malformed", message: expect.stringContaining(says) });
  });
});

describe("a genesis file is refused", () => {
  const [first] = GENESIS.validators;
  const [other] = PAIRS.slice(1);
  if (first === undefined || other === undefined) throw new Error("validators");
  const { mlDsa, ed25519 } = other.publicKeys;

  const cases: readonly (readonly [why: string, text: string, code: GenesisErrorCode, says: string])[] = [
    ["when it is not JSON", "{", "not-json", "not JSON"],
    ["when it is no object", "[]", "malformed", "the file must be an object"],
    ["for another version", changed((root) => (root["version"] = 2)), "unsupported", "version 2"],
    ["for an engine of later", changed((root) => (root["engine"] = "raft")), "unsupported", '"raft"'],
    ["for another epoch", changed((root) => (root["epoch"] = 1)), "unsupported", "epoch 1"],
    ["for hybrid that is no switch", changed((root) => (root["hybrid"] = "yes")), "malformed", "hybrid"],
    ["for an unknown field", changed((root) => (root["netwrok"] = "x")), "malformed", 'did you mean "network"?'],
    ["for an empty name", changed((root) => (root["network"] = "")), "malformed", "network"],
    ["for a name of too many bytes", changed((root) => (root["network"] = "ü".repeat(129))), "malformed", "256 bytes"],
    ["for half a character", changed((root) => (root["network"] = "\ud800")), "malformed", "network"],
    ["for a time that is none", changed((root) => (root["created_at"] = "yesterday")), "malformed", "created_at"],
    ["for a 13th month", changed((root) => (root["created_at"] = "2026-13-01T00:00:00Z")), "malformed", "created_at"],
    ["without a list of validators", changed((root) => Object.assign(root, { validators: {} })), "malformed", "list"],
    ["without validators", changed((root) => (root.validators = [])), "no-validators", "at least one"],
    [
      "with too many",
      changed((root) => (root.validators = Array.from({ length: VALIDATORS_MAX + 1 }, () => ({})))),
      "unsupported",
      "1025 validators",
    ],
    [
      "for a validator that is none",
      changed((root) => Object.assign(root.validators, [7])),
      "malformed",
      "validators[0]",
    ],
    ["for a validator's unknown field", validatorChanged("stake", 1), "malformed", '"stake"'],
    ["for a short key", validatorChanged("ml_dsa_87", "AAAA"), "malformed", "2592 bytes in base64, not 3"],
    ["for a key that is not base64", validatorChanged("ed25519", "?"), "malformed", "validators[0].ed25519"],
    ["for a missing second key", validatorChanged("ed25519", null), "malformed", "hybrid"],
    ["for another key than the id's", validatorChanged("ml_dsa_87", mlDsa.toBase64()), "wrong-key", first.nodeId],
    ["for another id than the key's", validatorChanged("node_id", other.nodeId), "wrong-key", first.nodeId],
    ["for an id that is none", validatorChanged("node_id", first.nodeId.toUpperCase()), "malformed", "hexadecimal"],
    ["for an address without a port", validatorChanged("address", "host"), "malformed", "host:port"],
    ["for a port that is none", validatorChanged("address", "host:65536"), "malformed", "host:port"],
    ["for a bare IPv6 address", validatorChanged("address", "::1:9000"), "malformed", "host:port"],
    [
      "when a validator stands there twice",
      changed(({ validators }) => validators.push({ ...validators[0], name: "n", address: "h:1" })),
      "duplicate",
      "validators[0] and validators[4] have the same ml_dsa_87 key",
    ],
    ["for two of one name", validatorChanged("name", "node-2"), "duplicate", "name"],
    ["for two of one address", validatorChanged("address", "127.0.0.1:9010"), "duplicate", "address"],
  ];

  test.each(cases)("%s", (_, text, code, says) => {
    const { code: given, message } = refusal(text);
    expect(given).toBe(code);
    expect(message).toContain(says);
    expect(message).toStartWith("the genesis file cannot be used: ");
  });

  test("for two validators that share only the second key", () => {
    const shared = keyPairFromSeeds({
      mlDsaSeed: new Uint8Array(32).fill(9),
      ed25519Seed: new Uint8Array(32).fill(102),
    });
    expect(shared.publicKeys.ed25519).toEqual(ed25519);
    const text = changed(({ validators }) =>
      Object.assign(validators[0] ?? {}, {
        node_id: shared.nodeId,
        ml_dsa_87: shared.publicKeys.mlDsa.toBase64(),
        ed25519: shared.publicKeys.ed25519?.toBase64(),
      }),
    );
    expect(refusal(text)).toMatchObject({ code: "duplicate", message: expect.stringContaining("ed25519 key") });
  });
});
