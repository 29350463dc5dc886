import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, struct } from "../../codec/composites.ts";
import { bool, hash } from "../../codec/primitives.ts";
import { type Batch, batchCodec } from "../../dag/batch.ts";
import { assert } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, View } from "../../membership/ids.ts";
import { type Proof, proofCodec, type Signed } from "../../membership/seal.ts";
import type { CheckpointCertificate, DurableWrite } from "../engine.ts";
import { checkpointCertificateCodec, viewCodec } from "../log-codec.ts";
import { messageCodec, preparedCertificateCodec, signedNewViewCodec } from "./codec.ts";
import type { NewView, PreparedCertificate, ViewChange } from "./messages.ts";

/**
 * What PBFT must not forget. Each row is written before the message that depends on it leaves: a replica that comes back
 * after a crash says again what it said, and never anything else.
 */

/** The accepted proposal of one sequence; stands for the prepare (the leader's pre-prepare) that was sent for it. */
export interface AcceptedRecord {
  readonly view: View;
  readonly digest: Hash;
  readonly batch: Batch | null;
  readonly proof: Proof | null;
}

/** What prepared here, with its content: a later view may oblige a leader to propose it again. */
export interface PreparedRecord {
  readonly certificate: PreparedCertificate;
  readonly batch: Batch | null;
}

export interface ViewRecord {
  readonly view: View;
  readonly active: boolean;
}

export interface RestoredState {
  readonly view: ViewRecord;
  readonly ownViewChange: ViewChange | null;
  readonly ownNewView: NewView | null;
  readonly newView: Signed<NewView> | null;
  readonly stable: CheckpointCertificate | null;
  readonly accepted: ReadonlyMap<Sequence, AcceptedRecord>;
  readonly prepared: ReadonlyMap<Sequence, PreparedRecord>;
  /** This replica's state digests at checkpoints that are not stable yet. */
  readonly ownStates: ReadonlyMap<Sequence, Hash>;
}

const acceptedCodec: Codec<AcceptedRecord> = struct<AcceptedRecord>({
  view: viewCodec,
  digest: hash,
  batch: option(batchCodec),
  proof: option(proofCodec),
});

const preparedRecordCodec: Codec<PreparedRecord> = struct<PreparedRecord>({
  certificate: preparedCertificateCodec,
  batch: option(batchCodec),
});

const viewRecordCodec: Codec<ViewRecord> = struct<ViewRecord>({ view: viewCodec, active: bool });

const VIEW = "view";
const OWN_VIEW_CHANGE = "own-view-change";
const OWN_NEW_VIEW = "own-new-view";
const NEW_VIEW = "new-view";
const STABLE = "stable";
const ACCEPTED = "accepted/";
const PREPARED = "prepared/";
const OWN_STATE = "own-state/";

export const writeView = (record: ViewRecord): DurableWrite => row(VIEW, viewRecordCodec, record);
export const writeOwnViewChange = (message: ViewChange): DurableWrite => row(OWN_VIEW_CHANGE, messageCodec, message);
export const writeOwnNewView = (message: NewView): DurableWrite => row(OWN_NEW_VIEW, messageCodec, message);
export const writeNewView = (signed: Signed<NewView>): DurableWrite => row(NEW_VIEW, signedNewViewCodec, signed);
export const writeStable = (stable: CheckpointCertificate): DurableWrite =>
  row(STABLE, checkpointCertificateCodec, stable);
export const writeAccepted = (sequence: Sequence, record: AcceptedRecord): DurableWrite =>
  row(ACCEPTED + sequenceKey(sequence), acceptedCodec, record);
export const writePrepared = (record: PreparedRecord): DurableWrite =>
  row(PREPARED + sequenceKey(record.certificate.sequence), preparedRecordCodec, record);
export const writeOwnState = (sequence: Sequence, stateDigest: Hash): DurableWrite =>
  row(OWN_STATE + sequenceKey(sequence), hash, stateDigest);

export function forgetOwnState(sequence: Sequence): DurableWrite {
  return { key: OWN_STATE + sequenceKey(sequence), value: null };
}

export function forgetSlot(sequence: Sequence): readonly DurableWrite[] {
  return [
    { key: ACCEPTED + sequenceKey(sequence), value: null },
    { key: PREPARED + sequenceKey(sequence), value: null },
  ];
}

/**
 * The state that these rows hold; an empty list is a new replica.
 * @throws DecodeError when a row is damaged
 */
export function restore(rows: readonly { readonly key: string; readonly value: Uint8Array }[]): RestoredState {
  const byKey = new Map(rows.map(({ key, value }) => [key, value]));
  return {
    view: read(byKey, VIEW, viewRecordCodec) ?? { view: 0 as View, active: true },
    ownViewChange: messageOf(byKey, OWN_VIEW_CHANGE, "view-change"),
    ownNewView: messageOf(byKey, OWN_NEW_VIEW, "new-view"),
    newView: read(byKey, NEW_VIEW, signedNewViewCodec),
    stable: read(byKey, STABLE, checkpointCertificateCodec),
    accepted: readSlots(rows, ACCEPTED, acceptedCodec),
    prepared: readSlots(rows, PREPARED, preparedRecordCodec),
    ownStates: readSlots(rows, OWN_STATE, hash),
  };
}

function row<T>(key: string, codec: Codec<T>, value: T): DurableWrite {
  return { key, value: encode(codec, value) };
}

function read<T>(rows: ReadonlyMap<string, Uint8Array>, key: string, codec: Codec<T>): T | null {
  const value = rows.get(key);
  return value === undefined ? null : decode(codec, value);
}

function messageOf<K extends "view-change" | "new-view">(
  rows: ReadonlyMap<string, Uint8Array>,
  key: string,
  kind: K,
): (K extends "view-change" ? ViewChange : NewView) | null {
  const message = read(rows, key, messageCodec);
  if (message === null) return null;
  assert(message.kind === kind, `a ${kind} under the key ${key}`);
  return message as K extends "view-change" ? ViewChange : NewView;
}

function readSlots<T>(
  rows: readonly { readonly key: string; readonly value: Uint8Array }[],
  prefix: string,
  codec: Codec<T>,
): ReadonlyMap<Sequence, T> {
  const slots = new Map<Sequence, T>();
  for (const { key, value } of rows) {
    if (key.startsWith(prefix))
      slots.set(Number.parseInt(key.slice(prefix.length), 16) as Sequence, decode(codec, value));
  }
  return slots;
}

/** Fixed width, so that keys sort as numbers do. */
function sequenceKey(sequence: Sequence): string {
  return sequence.toString(16).padStart(14, "0");
}

/** The row that a vote rests on; for those who check from outside that it was written first. */
export function rowOfVote(phase: "pre-prepare" | "prepare" | "commit", sequence: Sequence): string {
  return (phase === "commit" ? PREPARED : ACCEPTED) + sequenceKey(sequence);
}

/** What such a row says was voted for. @throws DecodeError */
export function voteOfRow(
  phase: "pre-prepare" | "prepare" | "commit",
  row: Uint8Array,
): { readonly view: View; readonly digest: Hash } {
  return phase === "commit" ? decode(preparedRecordCodec, row).certificate : decode(acceptedCodec, row);
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
  const settled = [...restore(rows).accepted.keys()].filter(
    (sequence) => stable !== null && sequence <= stable.sequence,
  );
  return [
    ...states,
    ...settled.flatMap(forgetSlot),
    stable === null ? { key: STABLE, value: null } : writeStable(stable),
  ];
}
