import { decode, encode } from "../../codec/codec.ts";
import type { Codec } from "../../codec/codec.ts";
import { option, struct, vec } from "../../codec/composites.ts";
import { bool, u16 } from "../../codec/primitives.ts";
import { DecodeError } from "../../codec/reader.ts";
import { BUNDLE_VERTICES_MAX } from "../../dag/limits.ts";
import { signedVotesCodec, type Votes } from "../../dag/votes.ts";
import type { Signed } from "../../membership/seal.ts";
import { VALIDATORS_MAX } from "../../membership/validator-set.ts";
import type { Hash } from "../../lib/hash.ts";
import { epochCodec } from "../../membership/evidence.ts";
import type { Epoch } from "../../membership/ids.ts";
import { CERTIFICATES_MAX, dagCertificateCodec, VOTES_OF_SIGNER_MAX } from "../dag-certificate.ts";
import type { DagCertificate } from "../dag-engine.ts";
import { restoreKeptVotes, type VotesNumber, votesNumberCodec } from "./kept-votes.ts";

/** What must be on the disk before a vote leaves, so that a restarted node never contradicts one (`traps.md`). */
interface OwnVotesOf<V> {
  readonly accept: readonly number[] | null;
  readonly commit: readonly number[] | null;
  /** What was certified in earlier epochs, as far as this node knows. */
  readonly held: readonly (Omit<DagCertificate, "votes"> & { readonly votes: readonly V[] })[];
  /** Units of this bundle that this node reported to the log; vertex + 1, 0 for the place. */
  readonly reported: readonly number[];
  /** The accepts that its commit rests on: who commits, crashes and cannot show them could stop the passage into an epoch. */
  readonly accepts: readonly V[];
}

export type OwnVotes = OwnVotesOf<Signed<Votes>>;

/** As a row has them: votes by the numbers of their rows. */
export type OwnVotesRow = OwnVotesOf<VotesNumber>;

/** A row as it was read back. */
export interface RestoredVotes extends OwnVotes {
  /** Whether its votes have rows of their own; before format 4 each bundle's row held copies. */
  readonly isCurrent: boolean;
}

/** What an engine's own rows say. */
export interface RestoredRows {
  readonly own: ReadonlyMap<Hash, RestoredVotes>;
  readonly kept: ReadonlyMap<VotesNumber, Signed<Votes>>;
  /** Epochs in which this node came to vote; null where no such row was written. */
  readonly passed: readonly Epoch[] | null;
}

const exceptCodec: Codec<readonly number[]> = vec(u16, BUNDLE_VERTICES_MAX);

const unitsCodec: Codec<readonly number[]> = vec(u16, BUNDLE_VERTICES_MAX + 1);

/** Two of each signer, as a certificate has them. */
const ACCEPTS_MAX: number = VOTES_OF_SIGNER_MAX * VALIDATORS_MAX;

/** The layout until format 3. Its first byte is that of an option: 0 or 1. */
const inlineCodec: Codec<OwnVotes> = struct<OwnVotes>({
  accept: option(exceptCodec),
  commit: option(exceptCodec),
  held: vec(dagCertificateCodec, CERTIFICATES_MAX),
  reported: unitsCodec,
  accepts: vec(signedVotesCodec, ACCEPTS_MAX),
});

const LAYOUT = 2;

const layoutCodec: Codec<typeof LAYOUT> = {
  sizeMin: 1,
  encode: (writer) => writer.u8(LAYOUT),
  decode: (reader) => {
    const byte = reader.u8();
    return byte === LAYOUT ? LAYOUT : reader.fail("unknown-variant", `layout ${byte} of a row of own votes`);
  },
};

const numbersCodec: Codec<readonly VotesNumber[]> = vec(votesNumberCodec, ACCEPTS_MAX);

interface Row extends OwnVotesRow {
  readonly layout: typeof LAYOUT;
}

const rowCodec: Codec<Row> = struct<Row>({
  layout: layoutCodec,
  accept: option(exceptCodec),
  commit: option(exceptCodec),
  held: vec(
    struct<OwnVotesRow["held"][number]>({
      epoch: epochCodec,
      place: bool,
      vertices: vec(u16, BUNDLE_VERTICES_MAX),
      votes: numbersCodec,
    }),
    CERTIFICATES_MAX,
  ),
  reported: unitsCodec,
  accepts: numbersCodec,
});

const PREFIX = "dag/vote/";

/** The row of what this node said of one bundle. */
export function ownRow(digest: Hash): string {
  return PREFIX + digest;
}

export function encodeOwnVotes(votes: OwnVotesRow): Uint8Array {
  return encode(rowCodec, { layout: LAYOUT, ...votes });
}

/** What one row says that was voted for. @throws DecodeError where it is damaged */
export function votedIn(value: Uint8Array): Pick<OwnVotes, "accept" | "commit"> {
  return isInline(value) ? decode(inlineCodec, value) : decode(rowCodec, value);
}

function isInline(value: Uint8Array): boolean {
  return (value[0] ?? LAYOUT) < LAYOUT;
}

/** @throws DecodeError where a row is damaged, or names one that is gone */
export function restoreRows(rows: readonly { readonly key: string; readonly value: Uint8Array }[]): RestoredRows {
  const kept = restoreKeptVotes(rows);
  const own = new Map<Hash, RestoredVotes>();
  for (const { key, value } of rows) {
    if (!key.startsWith(PREFIX)) continue;
    const votes = isInline(value)
      ? { ...decode(inlineCodec, value), isCurrent: false }
      : { ...resolved(decode(rowCodec, value), kept, key), isCurrent: true };
    own.set(key.slice(PREFIX.length) as Hash, votes);
  }
  return { own, kept, passed: restorePassed(rows) };
}

function resolved(row: OwnVotesRow, kept: ReadonlyMap<VotesNumber, Signed<Votes>>, key: string): OwnVotes {
  const open = (numbers: readonly VotesNumber[]): readonly Signed<Votes>[] =>
    numbers.map((number) => {
      const signed = kept.get(number);
      if (signed === undefined) throw new DecodeError("short", 0, `row ${key} names votes ${number}, which are gone,`);
      return signed;
    });
  const { accept, commit, held, reported, accepts } = row;
  return {
    accept,
    commit,
    held: held.map((each) => ({ ...each, votes: open(each.votes) })),
    reported,
    accepts: open(accepts),
  };
}

/** That what this node knew of the epochs before is in its rows and those of the DAG; and in which of them it came to vote. */
export const WITNESS_ROW = "dag/witness";

const epochsCodec: Codec<readonly Epoch[]> = vec(epochCodec, CERTIFICATES_MAX);

export function encodePassed(passed: readonly Epoch[]): Uint8Array {
  return encode(epochsCodec, passed.slice(-CERTIFICATES_MAX));
}

function restorePassed(rows: readonly { readonly key: string; readonly value: Uint8Array }[]): readonly Epoch[] | null {
  const row = rows.find(({ key }) => key === WITNESS_ROW);
  return row === undefined ? null : decode(epochsCodec, row.value);
}

/** Whether a row is this engine's own; the ordered engine beside it has the others. */
export function isDagRow(key: string): boolean {
  return key.startsWith("dag/");
}
