import type { NodeId } from "../../crypto/identity.ts";

/** Letters, digits, dot, underscore and hyphen: what needs no quoting on a command line and one escape in a URL. */
const OWNER = "[A-Za-z0-9._-]{1,32}";
const ACCOUNT = "[A-Za-z0-9._-]{1,31}";

const OWNER_PATTERN: RegExp = new RegExp(`^${OWNER}$`);
const ACCOUNT_PATTERN: RegExp = new RegExp(`^${OWNER}/${ACCOUNT}$`);

/** The most characters of an account's name, both parts and the slash. */
export const ACCOUNT_NAME_CHARS_MAX = 64;

/** In words for a person. */
export const ACCOUNT_NAME_RULE = '"<owner>/<account>": 1 to 32 and 1 to 31 of A-Z a-z 0-9 . _ -';

/** As many digits of a node id are a name that nobody can make another key for. */
const ID_DIGITS = 32;
const ID_PATTERN: RegExp = /^[0-9a-f]{32}$/;

export function isAccountName(text: string): boolean {
  return ACCOUNT_PATTERN.test(text);
}

/** Why a validator of this name could own no accounts; null where it can. */
export function ownerNameFault(name: string): string | null {
  if (!OWNER_PATTERN.test(name)) return "1 to 32 of A-Z a-z 0-9 . _ -, because it begins the names of accounts";
  return ID_PATTERN.test(name) ? "another than 32 hexadecimal digits, which stand for a node id" : null;
}

/** The part of an account's name before the slash. */
export function ownerOf(account: string): string {
  return account.slice(0, account.indexOf("/"));
}

/**
 * Who may debit which accounts: a validator of genesis those under its name, and any node those under the first 32
 * digits of its id, so that who is admitted later has accounts too and no change of the validator set changes an owner.
 */
export class Owners {
  readonly #nodes: ReadonlyMap<string, NodeId>;
  readonly #names: ReadonlyMap<NodeId, string>;

  /** @param owners the validators of genesis; names are distinct and without `ownerNameFault` */
  constructor(owners: readonly { readonly name: string; readonly nodeId: NodeId }[]) {
    this.#nodes = new Map(owners.map(({ name, nodeId }) => [name, nodeId]));
    this.#names = new Map(owners.map(({ name, nodeId }) => [nodeId, name]));
  }

  /** Whether accounts of that name can have an owner: money sent to a misspelt organisation would be lost. */
  isKnown(owner: string): boolean {
    return this.#nodes.has(owner) || ID_PATTERN.test(owner);
  }

  mayDebit(node: NodeId, account: string): boolean {
    const owner = ownerOf(account);
    return this.#nodes.get(owner) === node || owner === node.slice(0, ID_DIGITS);
  }

  /** Under which name this node's accounts stand. */
  nameOf(node: NodeId): string {
    return this.#names.get(node) ?? node.slice(0, ID_DIGITS);
  }
}
