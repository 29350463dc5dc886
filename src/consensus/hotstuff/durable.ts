import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, struct } from "../../codec/composites.ts";
import { hash } from "../../codec/primitives.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, View } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { CheckpointCertificate, DurableWrite } from "../engine.ts";
import { checkpointCertificateCodec, sequenceCodec, viewCodec } from "../log-codec.ts";
import { qcCodec, qcRefCodec, signedProposalCodec, tcCodec } from "./codec.ts";
import type { Proposal, Qc, QcRef, Tc } from "./messages.ts";

/**
 * What HotStuff must not forget: the last view in which it voted or that it gave up, the last in which it proposed, its
 * lock, and every block that it holds above the executed ones with the certificate that it carries. The highest
 * certificate that it voted upon is in the row of the block that it voted for. Why its view began is kept too: one that
 * comes back in a view which nobody else can show would be alone there.
 */
export interface VoteRecord {
  readonly lastView: View;
  readonly proposedView: View;
  readonly lock: QcRef | null;
  /** The newest vote: it may be said again, for its next leader may never have got it. */
  readonly vote: QcRef | null;
}

export interface RestoredState {
  readonly votes: VoteRecord;
  readonly high: Qc | null;
  readonly tc: Tc | null;
  readonly proposals: readonly Signed<Proposal>[];
  readonly stable: CheckpointCertificate | null;
  readonly ownStates: ReadonlyMap<Sequence, Hash>;
}

const voteRecordCodec: Codec<VoteRecord> = struct<VoteRecord>({
  lastView: viewCodec,
  proposedView: viewCodec,
  lock: option(qcRefCodec),
  vote: option(qcRefCodec),
});

/** For those who check from outside that it was written before a vote left. */
export const VOTES_ROW = "votes";
const HIGH = "high";
const TC = "tc";
const STABLE = "stable";
const BLOCK = "block/";
const OWN_STATE = "own-state/";

export const writeVotes = (record: VoteRecord): DurableWrite => row(VOTES_ROW, voteRecordCodec, record);
export const writeHigh = (qc: Qc): DurableWrite => row(HIGH, qcCodec, qc);
export const writeTc = (tc: Tc): DurableWrite => row(TC, tcCodec, tc);
export const writeStable = (stable: CheckpointCertificate): DurableWrite =>
  row(STABLE, checkpointCertificateCodec, stable);
export const writeBlock = (block: Hash, proposal: Signed<Proposal>): DurableWrite =>
  row(BLOCK + block, signedProposalCodec, proposal);
export const forgetBlock = (block: Hash): DurableWrite => ({ key: BLOCK + block, value: null });
export const writeOwnState = (sequence: Sequence, stateDigest: Hash): DurableWrite =>
  row(OWN_STATE + sequenceKey(sequence), ownStateCodec, { sequence, stateDigest });
export const forgetOwnState = (sequence: Sequence): DurableWrite => ({
  key: OWN_STATE + sequenceKey(sequence),
  value: null,
});

interface OwnState {
  readonly sequence: Sequence;
  readonly stateDigest: Hash;
}

const ownStateCodec: Codec<OwnState> = struct<OwnState>({ sequence: sequenceCodec, stateDigest: hash });

/**
 * The state that these rows hold; an empty list is a new replica.
 * @throws DecodeError when a row is damaged
 */
export function restore(rows: readonly { readonly key: string; readonly value: Uint8Array }[]): RestoredState {
  const byKey = new Map(rows.map(({ key, value }) => [key, value]));
  const of = (prefix: string): readonly Uint8Array[] =>
    rows.filter(({ key }) => key.startsWith(prefix)).map(({ value }) => value);
  const states = of(OWN_STATE).map((value) => decode(ownStateCodec, value));
  return {
    votes: read(byKey, VOTES_ROW, voteRecordCodec) ?? NOTHING_SAID,
    high: read(byKey, HIGH, qcCodec),
    tc: read(byKey, TC, tcCodec),
    proposals: of(BLOCK)
      .map((value) => decode(signedProposalCodec, value))
      .sort(({ message: { block: left } }, { message: { block: right } }) => left.view - right.view),
    stable: read(byKey, STABLE, checkpointCertificateCodec),
    ownStates: new Map(states.map(({ sequence, stateDigest }) => [sequence, stateDigest])),
  };
}

/** What the votes' row says; for those who check from outside. @throws DecodeError */
export function votesOfRow(value: Uint8Array): VoteRecord {
  return decode(voteRecordCodec, value);
}

const NOTHING_SAID: VoteRecord = { lastView: 0 as View, proposedView: 0 as View, lock: null, vote: null };

function row<T>(key: string, codec: Codec<T>, value: T): DurableWrite {
  return { key, value: encode(codec, value) };
}

function read<T>(rows: ReadonlyMap<string, Uint8Array>, key: string, codec: Codec<T>): T | null {
  const value = rows.get(key);
  return value === undefined ? null : decode(codec, value);
}

/** Fixed width, so that keys sort as numbers do. */
function sequenceKey(sequence: Sequence): string {
  return sequence.toString(16).padStart(14, "0");
}

/**
 * What becomes of the rows where the node's state is replaced by another, certified one: promises and votes stay, what this
 * replica said of its own states goes. @param stable the certificate of that state; null for the state that the epoch begins with
 */
export function replaceState(
  rows: readonly { readonly key: string; readonly value: Uint8Array }[],
  stable: CheckpointCertificate | null,
): readonly DurableWrite[] {
  const states = rows.filter(({ key }) => key.startsWith(OWN_STATE)).map(({ key }) => ({ key, value: null }));
  return [...states, stable === null ? { key: STABLE, value: null } : writeStable(stable)];
}
