import { encode } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { hash, string } from "../codec/primitives.ts";
import type { NodeId } from "../crypto/identity.ts";
import { compareHashes, type Hash } from "../lib/hash.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";
import { AMOUNT_MAX, amountCodec, parseAmount } from "../replication/ledger/amount.ts";
import {
  ACCOUNT_NAME_CHARS_MAX,
  ACCOUNT_NAME_RULE,
  isAccountName,
  ownerNameFault,
  ownerOf,
} from "../replication/ledger/owners.ts";

export const ENGINES = ["pbft", "hotstuff", "avalanche"] as const;
export type EngineName = (typeof ENGINES)[number];

/**
 * `log`: payloads are opaque. `ledger`: transfers between accounts. `key-value`: the built-in store. `workflow`: runs of
 * steps that workers do. `custom`: a file that each node is started with (`start --app`).
 */
export const APPLICATIONS = ["log", "ledger", "key-value", "workflow", "custom"] as const;
export type ApplicationName = (typeof APPLICATIONS)[number];

/** Opening balances: a file of a megabyte at most. */
export const ACCOUNTS_MAX = 10_000;

/** What a genesis says of the application that its network runs. */
export interface GenesisApplication {
  /** Absent: `log`. */
  readonly application?: ApplicationName;
  /** The opening balances of a ledger, in units; together 2^64 - 1 at most. */
  readonly accounts?: ReadonlyMap<string, bigint>;
}

export type Named = readonly { readonly name: string; readonly nodeId: NodeId }[];

/**
 * Whether the total order drives a state machine at every node, with sessions, a root and snapshots. A leaderless network's
 * ledger is another one: its transfers commute, and it needs no order of all.
 */
export function isReplicated({
  engine,
  application = "log",
}: {
  readonly engine: EngineName;
  readonly application?: ApplicationName;
}): boolean {
  return application === "ledger" ? isTotalOrder(engine) : application !== "log";
}

/** Whether an engine puts all that its network takes in into one order; of the others only what conflicts has one. */
export function isTotalOrder(engine: EngineName): boolean {
  return engine !== "avalanche";
}

/** Why this engine cannot run that application; null where it can. */
export function applicationFault(engine: EngineName, application: ApplicationName = "log"): string | null {
  if (isTotalOrder(engine) || !isReplicated({ engine, application })) return null;
  return `the ${application} application cannot run on avalanche: it needs a total order of all commands, and avalanche orders only what conflicts. Its engine is pbft (--engine pbft), or hotstuff`;
}

/**
 * What the genesis hash covers beside what it always did; null for a log, so that such networks keep their names. The
 * names of a ledger's validators are in it, because they say who owns an account; and the ledger of a total order has another
 * name than that of a leaderless network, because the same payloads mean something else to it.
 */
export function applicationBytes(
  genesis: GenesisApplication & { readonly engine: EngineName; readonly validators: Named },
): Uint8Array | null {
  const { engine, application = "log", accounts, validators } = genesis;
  if (application === "log") return null;
  const codec = struct<{
    application: string;
    owners: readonly { readonly nodeId: Hash; readonly name: string }[];
    accounts: readonly { readonly name: string; readonly amount: bigint }[];
  }>({
    application: string(32),
    owners: vec(struct<{ nodeId: Hash; name: string }>({ nodeId: hash, name: string(32) }), VALIDATORS_MAX),
    accounts: vec(
      struct<{ name: string; amount: bigint }>({ name: string(ACCOUNT_NAME_CHARS_MAX), amount: amountCodec }),
      ACCOUNTS_MAX,
    ),
  });
  const owners = application === "ledger" ? validators.map(({ nodeId, name }) => ({ nodeId, name })) : [];
  return encode(codec, {
    application: application === "ledger" && isTotalOrder(engine) ? "ordered-ledger" : application,
    owners: owners.sort((left, right) => compareHashes(left.nodeId, right.nodeId)),
    accounts: sorted(accounts ?? new Map()).map(([name, amount]) => ({ name, amount })),
  });
}

/** The fields of the genesis document; none for a genesis that names no application. */
export function formatApplication({ application, accounts }: GenesisApplication): Readonly<Record<string, unknown>> {
  return {
    ...(application === undefined ? {} : { application }),
    ...(accounts === undefined
      ? {}
      : { accounts: Object.fromEntries(sorted(accounts).map(([name, amount]) => [name, String(amount)])) }),
  };
}

/** The application of a genesis document, or what is wrong with it: the place and what belongs there. */
export function parseApplication(
  root: Readonly<Record<string, unknown>>,
  validators: Named,
): GenesisApplication | { readonly fault: string } {
  const given = root["application"];
  const application = APPLICATIONS.find((name) => name === given);
  if (given !== undefined && application === undefined)
    return { fault: `application must be ${APPLICATIONS.map((name) => JSON.stringify(name)).join(" or ")}` };
  const said = application === undefined ? {} : { application };
  if (application !== "ledger")
    return root["accounts"] === undefined ? said : { fault: 'accounts belongs to application "ledger"' };
  for (const [index, { name }] of validators.entries()) {
    const fault = ownerNameFault(name);
    if (fault !== null) return { fault: `validators[${index}].name must be ${fault}` };
  }
  const accounts = readAccounts(root["accounts"], validators);
  return "fault" in accounts ? accounts : { application, accounts };
}

function readAccounts(given: unknown, validators: Named): ReadonlyMap<string, bigint> | { readonly fault: string } {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    return { fault: 'accounts must be an object such as {"node-1/main": "1000"}: the opening balances' };
  const entries = Object.entries(given);
  if (entries.length > ACCOUNTS_MAX)
    return { fault: `accounts must be ${ACCOUNTS_MAX} at most, not ${entries.length}` };
  const accounts = new Map<string, bigint>();
  let total = 0n;
  for (const [name, text] of entries) {
    const at = `accounts[${JSON.stringify(name)}]`;
    if (!isAccountName(name)) return { fault: `${at} must have a name as ${ACCOUNT_NAME_RULE}` };
    if (!validators.some((validator) => validator.name === ownerOf(name)))
      return { fault: `${at} must begin with a validator's name: its owner` };
    const amount = typeof text === "string" ? parseAmount(text) : null;
    if (amount === null || amount === 0n)
      return { fault: `${at} must be a text of a whole number, 1 to ${AMOUNT_MAX}` };
    accounts.set(name, amount);
    total += amount;
  }
  if (total === 0n) return { fault: "accounts must hold a balance: no unit is ever made later" };
  if (total > AMOUNT_MAX) return { fault: `accounts must be ${AMOUNT_MAX} together at most, not ${total}` };
  return accounts;
}

/** In ascending order of the names. */
function sorted(accounts: ReadonlyMap<string, bigint>): (readonly [string, bigint])[] {
  return [...accounts].sort(([left], [right]) => (left < right ? -1 : 1));
}
