import { encode } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { bool, hash, string, u16, u64 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import { type NodeId, nodeIdOf, type PublicKeys } from "../crypto/identity.ts";
import { ED25519_PUBLIC_KEY_BYTES, ML_DSA_87_PUBLIC_KEY_BYTES } from "../crypto/signature.ts";
import { nearest } from "../lib/edit-distance.ts";
import { compareHashes, type Hash, isHash } from "../lib/hash.ts";
import type { Epoch } from "../membership/ids.ts";
import {
  genesisMembership,
  type MembershipPolicy,
  type MembershipState,
  policyFault,
} from "../membership/membership-state.ts";
import { type NetworkContext, ValidatorSet, VALIDATORS_MAX } from "../membership/validator-set.ts";
import { ADDRESS_PATTERN } from "./config-keys.ts";
import {
  applicationBytes,
  ENGINES,
  type EngineName,
  formatApplication,
  type GenesisApplication,
  parseApplication,
} from "./genesis-application.ts";
import { formatHotStuff, type GenesisHotStuff, hotStuffBytes, parseHotStuff } from "./genesis-hotstuff.ts";

export const GENESIS_VERSION = 1;

/** Bytes in UTF-8 of a name and of the time of creation. */
const NAME_BYTES_MAX = 256;
const TIME_BYTES_MAX = 64;

export interface GenesisValidator {
  readonly name: string;
  readonly nodeId: NodeId;
  readonly publicKeys: PublicKeys;
  /** `host:port` of its QUIC socket: where others look for it first. */
  readonly address: string;
}

/** What the organisations agree on before their network exists. Whoever has another genesis is another network. */
export interface Genesis extends GenesisApplication, GenesisHotStuff {
  readonly network: string;
  readonly createdAt: string;
  readonly engine: EngineName;
  readonly hybrid: boolean;
  /** How many validators there may ever be at a time. */
  readonly policy: MembershipPolicy;
  readonly validators: readonly GenesisValidator[];
}

/**
 * What a genesis file without `validators_min` and `validators_max` says. The specification's minimum is 3; below it a
 * removal waits for a successor. The maximum is far above what all-to-all votes are good for.
 */
export function defaultPolicy(size: number): MembershipPolicy {
  return { min: Math.min(3, size), max: Math.max(100, size) };
}

export type GenesisErrorCode = "not-json" | "malformed" | "unsupported" | "wrong-key" | "duplicate" | "no-validators";

/** A genesis file that cannot be used; the message names the place and what belongs there. */
export class GenesisError extends Error {
  override readonly name = "GenesisError";
  readonly code: GenesisErrorCode;

  constructor(code: GenesisErrorCode, message: string) {
    super(`the genesis file cannot be used: ${message}`);
    this.code = code;
  }
}

/**
 * The network's name in every statement. Covers what decides who may vote and how: version, network name, time of creation,
 * engine, signature mode, epoch, the bounds of the validator set and the validators' ids; and the application where it is
 * not the log, with what it begins with, and how HotStuff runs where it is not the default. Addresses of validators are outside, and their names where they own no accounts,
 * so that an operator may move a node.
 */
export function genesisHash(genesis: Genesis): Hash {
  const codec = struct<{
    version: number;
    network: string;
    createdAt: string;
    engine: string;
    hybrid: boolean;
    epoch: number;
    min: number;
    max: number;
    validators: readonly Hash[];
  }>({
    version: u16,
    network: string(NAME_BYTES_MAX),
    createdAt: string(TIME_BYTES_MAX),
    engine: string(32),
    hybrid: bool,
    epoch: u64,
    min: u16,
    max: u16,
    validators: vec(hash, VALIDATORS_MAX),
  });
  const validators = genesis.validators.map(({ nodeId }) => nodeId).sort(compareHashes);
  const { network, createdAt, engine, hybrid, policy } = genesis;
  const first = { version: GENESIS_VERSION, network, createdAt, engine, hybrid, epoch: 0, ...policy, validators };
  const more = [applicationBytes(genesis), hotStuffBytes(genesis)].filter((bytes) => bytes !== null);
  return hashOf("genesis", encode(codec, first), ...more);
}

export function networkContextOf(genesis: Genesis): NetworkContext {
  return { genesis: genesisHash(genesis), set: new ValidatorSet(0 as Epoch, genesis.validators) };
}

/**
 * The membership that the network begins with. Names and addresses of this file stay out of it, as they stay out of the
 * genesis hash: an operator may change them in his own copy, and the state must be the same on every node.
 */
export function firstMembership(genesis: Genesis): MembershipState {
  const { genesis: hash, set } = networkContextOf(genesis);
  const roster = set.roster.map(({ nodeId, publicKeys }) => ({ nodeId, publicKeys, name: "" }));
  const network = { genesis: hash, set: new ValidatorSet(set.epoch, roster) };
  return genesisMembership(
    network,
    genesis.policy,
    roster.map(() => ""),
  );
}

export function formatGenesis(genesis: Genesis): string {
  const validators = genesis.validators.map(({ name, nodeId, publicKeys, address }) => ({
    name,
    node_id: nodeId,
    address,
    ml_dsa_87: publicKeys.mlDsa.toBase64(),
    ed25519: publicKeys.ed25519?.toBase64() ?? null,
  }));
  const { network, createdAt, engine, hybrid, policy } = genesis;
  const document = {
    version: GENESIS_VERSION,
    network,
    created_at: createdAt,
    engine,
    hybrid,
    epoch: 0,
    validators_min: policy.min,
    validators_max: policy.max,
    ...formatHotStuff(genesis),
    ...formatApplication(genesis),
    validators,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** @throws GenesisError */
export function parseGenesis(text: string): Genesis {
  const root = objectOf(parseJson(text), "the file", [
    "version",
    "network",
    "created_at",
    "engine",
    "hybrid",
    "epoch",
    "validators_min",
    "validators_max",
    "hotstuff",
    "application",
    "accounts",
    "validators",
  ]);
  if (root["version"] !== GENESIS_VERSION)
    throw unsupported(`version ${String(root["version"])}; this release reads ${GENESIS_VERSION}`);
  const engine = ENGINES.find((name) => name === root["engine"]);
  if (engine === undefined) {
    const known = ENGINES.map((name) => JSON.stringify(name)).join(" and ");
    throw unsupported(`engine ${JSON.stringify(root["engine"])}; this release has ${known}`);
  }
  if (root["epoch"] !== 0) throw unsupported(`epoch ${String(root["epoch"])}; a genesis is epoch 0`);
  const hybrid = root["hybrid"];
  if (typeof hybrid !== "boolean") throw malformed("hybrid", "true or false");
  const entries = root["validators"];
  if (!Array.isArray(entries)) throw malformed("validators", "a list");
  if (entries.length === 0)
    throw new GenesisError("no-validators", "validators is empty: a network needs at least one");
  if (entries.length > VALIDATORS_MAX) throw unsupported(`${entries.length} validators; at most ${VALIDATORS_MAX}`);
  const validators = entries.map((entry, index) => parseValidator(entry, index, hybrid));
  refuseDuplicates(validators);
  const application = parseApplication(root, validators);
  if ("fault" in application) throw new GenesisError("malformed", application.fault);
  const hotstuff = parseHotStuff(root, engine);
  if ("fault" in hotstuff) throw new GenesisError("malformed", hotstuff.fault);
  return {
    network: textOf(root["network"], "network", NAME_BYTES_MAX),
    createdAt: timeOf(root["created_at"]),
    engine,
    hybrid,
    policy: policyOf(root, validators.length),
    ...hotstuff,
    ...application,
    validators,
  };
}

function policyOf(root: Readonly<Record<string, unknown>>, size: number): MembershipPolicy {
  const { min, max } = defaultPolicy(size);
  const policy = { min: root["validators_min"] ?? min, max: root["validators_max"] ?? max };
  const fault =
    typeof policy.min !== "number" || typeof policy.max !== "number"
      ? "validators_min and validators_max are numbers"
      : policyFault({ min: policy.min, max: policy.max }, size);
  if (fault !== null) throw new GenesisError("malformed", fault);
  return policy as MembershipPolicy;
}

function parseValidator(entry: unknown, index: number, hybrid: boolean): GenesisValidator {
  const at = `validators[${index}]`;
  const fields = objectOf(entry, at, ["name", "node_id", "address", "ml_dsa_87", "ed25519"]);
  const mlDsa = keyOf(fields["ml_dsa_87"], `${at}.ml_dsa_87`, ML_DSA_87_PUBLIC_KEY_BYTES);
  const second = fields["ed25519"] ?? null;
  if ((second !== null) !== hybrid) {
    throw malformed(
      `${at}.ed25519`,
      hybrid ? "a key, because the network is hybrid" : "null, because the network is not hybrid",
    );
  }
  const ed25519 = second === null ? null : keyOf(second, `${at}.ed25519`, ED25519_PUBLIC_KEY_BYTES);
  const publicKeys = { mlDsa, ed25519 };
  const claimed = fields["node_id"];
  const nodeId = nodeIdOf(publicKeys);
  if (typeof claimed !== "string" || !isHash(claimed))
    throw malformed(`${at}.node_id`, "64 lower-case hexadecimal digits");
  if (claimed !== nodeId) {
    throw new GenesisError(
      "wrong-key",
      `${at}.node_id is ${claimed}, but its keys make ${nodeId}: one of them was changed`,
    );
  }
  return {
    name: textOf(fields["name"], `${at}.name`, NAME_BYTES_MAX),
    nodeId,
    publicKeys,
    address: addressOf(fields["address"], at),
  };
}

/** One key, name or address for two validators is a copied line, and one operator with two votes. */
function refuseDuplicates(validators: readonly GenesisValidator[]): void {
  const parts: readonly (readonly [what: string, of: (validator: GenesisValidator) => string | null])[] = [
    ["ml_dsa_87 key", ({ publicKeys }) => publicKeys.mlDsa.toHex()],
    ["ed25519 key", ({ publicKeys }) => publicKeys.ed25519?.toHex() ?? null],
    ["name", ({ name }) => name],
    ["address", ({ address }) => address],
  ];
  for (const [what, of] of parts) {
    const seen = new Map<string, number>();
    for (const [index, validator] of validators.entries()) {
      const value = of(validator);
      const first = value === null ? undefined : seen.get(value);
      if (first !== undefined)
        throw new GenesisError("duplicate", `validators[${first}] and validators[${index}] have the same ${what}`);
      if (value !== null) seen.set(value, index);
    }
  }
}

function addressOf(value: unknown, at: string): string {
  const text = textOf(value, `${at}.address`, NAME_BYTES_MAX);
  if (!ADDRESS_PATTERN.test(text)) throw malformed(`${at}.address`, '"host:port", or "[address]:port" for IPv6');
  return text;
}

function timeOf(value: unknown): string {
  const text = textOf(value, "created_at", TIME_BYTES_MAX);
  const isIso = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/.test(text);
  if (!isIso || Number.isNaN(Date.parse(text))) throw malformed("created_at", 'a time such as "2026-01-31T12:00:00Z"');
  return text;
}

function keyOf(value: unknown, at: string, size: number): Uint8Array {
  if (typeof value !== "string") throw malformed(at, `${size} bytes in base64`);
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.fromBase64(value);
  } catch {
    throw malformed(at, `${size} bytes in base64`);
  }
  if (bytes.length !== size) throw malformed(at, `${size} bytes in base64, not ${bytes.length}`);
  return bytes;
}

function objectOf(value: unknown, at: string, keys: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(at, "an object");
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    const hint = `did you mean ${JSON.stringify(nearest(unknown, keys))}?`;
    throw new GenesisError("malformed", `${at} has an unknown field ${JSON.stringify(unknown)}; ${hint}`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function textOf(value: unknown, at: string, bytesMax: number): string {
  if (typeof value !== "string" || value === "" || !value.isWellFormed() || Buffer.byteLength(value) > bytesMax) {
    throw malformed(at, `a text of 1 to ${bytesMax} bytes`);
  }
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new GenesisError("not-json", `it is not JSON (${String(error)})`);
  }
}

function malformed(at: string, wanted: string): GenesisError {
  return new GenesisError("malformed", `${at} must be ${wanted}`);
}

function unsupported(what: string): GenesisError {
  return new GenesisError("unsupported", what);
}
