import { decode, encode } from "../../codec/codec.ts";
import type { Codec } from "../../codec/codec.ts";
import { option, struct, vec } from "../../codec/composites.ts";
import { u16 } from "../../codec/primitives.ts";
import { BUNDLE_VERTICES_MAX } from "../../dag/limits.ts";
import { signedVotesCodec, type Votes } from "../../dag/votes.ts";
import type { Signed } from "../../membership/seal.ts";
import { VALIDATORS_MAX } from "../../membership/validator-set.ts";
import type { Hash } from "../../lib/hash.ts";
import { epochCodec } from "../../membership/evidence.ts";
import type { Epoch } from "../../membership/ids.ts";
import { CERTIFICATES_MAX, dagCertificateCodec } from "../dag-certificate.ts";
import type { DagCertificate } from "../dag-engine.ts";
import type { BundleNode, OwnVote } from "./bundle-node.ts";

/** What must be on the disk before a vote leaves, so that a restarted node never contradicts one (`traps.md`). */
export interface OwnVotes {
  readonly accept: readonly number[] | null;
  readonly commit: readonly number[] | null;
  /** What was certified in earlier epochs, as far as this node knows. */
  readonly held: readonly DagCertificate[];
  /** Units of this bundle that this node reported to the log; vertex + 1, 0 for the place. */
  readonly reported: readonly number[];
  /**
   * The accepts that its commit rests on, where the bundle is contested: correct validators may have accepted rivals, and a
   * liar's accept is not said again. Who commits, crashes, and cannot show them could stop the passage into the next epoch.
   */
  readonly accepts: readonly Signed<Votes>[];
}

const exceptCodec: Codec<readonly number[]> = vec(u16, BUNDLE_VERTICES_MAX);

const unitsCodec: Codec<readonly number[]> = vec(u16, BUNDLE_VERTICES_MAX + 1);

/** Two of each signer, as a certificate has them. */
const ACCEPTS_MAX: number = 2 * VALIDATORS_MAX;

const ownVotesCodec: Codec<OwnVotes> = struct<OwnVotes>({
  accept: option(exceptCodec),
  commit: option(exceptCodec),
  held: vec(dagCertificateCodec, CERTIFICATES_MAX),
  reported: unitsCodec,
  accepts: vec(signedVotesCodec, ACCEPTS_MAX),
});

const PREFIX = "dag/vote/";

export function encodeOwnVotes(node: BundleNode, isContested: boolean): Uint8Array {
  const list = (vote: OwnVote | null): readonly number[] | null => (vote === null ? null : [...vote.except]);
  return encode(ownVotesCodec, {
    accept: list(node.ownAccept),
    commit: list(node.ownCommit),
    held: node.carried.slice(-CERTIFICATES_MAX),
    reported: [...node.reported.keys()],
    accepts: isContested && node.ownCommit !== null ? node.accepts.newest(2) : [],
  });
}

/** What this node said of bundles that are open, by bundle. @throws DecodeError where a row is damaged */
export function restoreOwnVotes(
  rows: readonly { readonly key: string; readonly value: Uint8Array }[],
): ReadonlyMap<Hash, OwnVotes> {
  const votes = new Map<Hash, OwnVotes>();
  for (const { key, value } of rows) {
    if (key.startsWith(PREFIX)) votes.set(key.slice(PREFIX.length) as Hash, decode(ownVotesCodec, value));
  }
  return votes;
}

/** That what this node knew of the epochs before is in its rows and those of the DAG; and in which of them it came to vote. */
export const WITNESS_ROW = "dag/witness";

const epochsCodec: Codec<readonly Epoch[]> = vec(epochCodec, CERTIFICATES_MAX);

export function encodePassed(passed: readonly Epoch[]): Uint8Array {
  return encode(epochsCodec, passed.slice(-CERTIFICATES_MAX));
}

/** Null where no such row was written. @throws DecodeError where it is damaged */
export function restorePassed(
  rows: readonly { readonly key: string; readonly value: Uint8Array }[],
): readonly Epoch[] | null {
  const row = rows.find(({ key }) => key === WITNESS_ROW);
  return row === undefined ? null : decode(epochsCodec, row.value);
}

/** Whether a row is this engine's own; the ordered engine beside it has the others. */
export function isDagRow(key: string): boolean {
  return key.startsWith("dag/");
}
