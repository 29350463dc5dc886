import { blake3 } from "#blake3";
import { asciiBytes } from "../lib/ascii.ts";
import { type Hash, toHash } from "../lib/hash.ts";

/**
 * What a digest is for. Each domain's bytes are hashed in front of the content, so that no digest of one kind can ever be
 * presented as one of another kind.
 */
export type HashDomain =
  | "node-id"
  | "genesis"
  | "vertex"
  | "bundle"
  | "batch"
  | "statement"
  | "merkle-leaf"
  | "merkle-node"
  | "merkle-root"
  | "view-change"
  | "new-view"
  | "execution-state"
  | "history"
  | "executed"
  | "executed-bundle"
  | "record"
  | "evidence"
  | "membership"
  | "conflict-key"
  | "fork-key"
  | "query"
  | "answer"
  | "votes"
  | "kept-votes"
  | "resolution"
  | "content"
  | "ledger-key"
  | "ledger-state"
  | "ledger-path"
  | "ledger-line"
  | "ledger-root"
  | "trie-leaf"
  | "trie-branch"
  | "session"
  | "session-path"
  | "retired-clients"
  | "sessions"
  | "command-seed"
  | "command-result"
  | "replica-root"
  | "snapshot-chunk"
  | "kv-path"
  | "kv-entry"
  | "kv-state"
  | "workflow-path"
  | "workflow-record"
  | "workflow-definition"
  | "workflow-state"
  | "block";

const PREFIXES = new Map<HashDomain, Uint8Array>();

/** Small messages are put together here: hashing is synchronous, and most digests are over two or three hashes. */
const SCRATCH = new Uint8Array(1024);

/** BLAKE3-256 of `cretoai/v1/<domain>`, a zero byte, and the parts one after the other. */
export function hashOf(domain: HashDomain, ...parts: readonly Uint8Array[]): Hash {
  return toHash(digestOf(domain, ...parts));
}

/** As `hashOf`, as bytes. Callers whose parts vary in length put lengths into them. */
export function digestOf(domain: HashDomain, ...parts: readonly Uint8Array[]): Uint8Array {
  const prefix = prefixOf(domain);
  let size = prefix.length;
  for (const part of parts) size += part.length;
  const message = size <= SCRATCH.length ? SCRATCH.subarray(0, size) : new Uint8Array(size);
  message.set(prefix);
  let at = prefix.length;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return blake3(message);
}

function prefixOf(domain: HashDomain): Uint8Array {
  const known = PREFIXES.get(domain);
  if (known !== undefined) return known;
  const prefix = asciiBytes(`cretoai/v1/${domain}\0`);
  PREFIXES.set(domain, prefix);
  return prefix;
}
