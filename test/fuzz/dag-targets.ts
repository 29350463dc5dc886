import type { Codec } from "../../src/codec/codec.ts";
import { option, struct, vec } from "../../src/codec/composites.ts";
import { bytes, string, u16, u32, u64, u8, hash } from "../../src/codec/primitives.ts";
import { DecodeError } from "../../src/codec/reader.ts";
import { arrival, NETWORK as network } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { type RestoredRows, restoreRows } from "../../src/consensus/avalanche/durable.ts";
import { DISSENTS_MAX, QUERIED_LANES_MAX, WAYPOINTS_MAX } from "../../src/consensus/avalanche/limits.ts";
import {
  type AvalancheMessage,
  decodeMessage,
  encodeMessage,
  statementOf,
} from "../../src/consensus/avalanche/messages.ts";
import type { Effect } from "../../src/consensus/engine.ts";
import { type Bundle, bundleCodec, bundleFault, holdBundle } from "../../src/dag/bundle.ts";
import {
  CONFLICT_KEY_BYTES_MAX,
  CONFLICT_KEYS_MAX,
  conflictSetOf,
  openEnvelope,
  sealEnvelope,
} from "../../src/dag/conflict-keys.ts";
import { BUNDLE_VERTICES_MAX, PAYLOAD_BYTES_MAX } from "../../src/dag/limits.ts";
import {
  countsIn,
  obligationsOfReport,
  openReport,
  type Report,
  reportCodec,
  reportFault,
} from "../../src/dag/report.ts";
import { applyReports } from "../../src/dag/resolution.ts";
import {
  NO_RESOLUTIONS,
  resolutionDigest,
  type ResolutionState,
  resolutionStateCodec,
  rulingsOf,
} from "../../src/dag/resolution-state.ts";
import { openUnit, type UnitProof, unitProofCodec } from "../../src/dag/unit-proof.ts";
import { signedVotesCodec, votesCodec, votesFault, votesStatement } from "../../src/dag/votes.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import { proofRoot, validatorIndexCodec } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import {
  acceptedOf,
  acceptedRunCodec,
  dagStandingCodec,
  isSettled,
  laneTipCodec,
  localOrderCodec,
} from "../../src/node/dag-rows.ts";
import { envelopeFault } from "../../src/replication/application.ts";
import { Ledger } from "../../src/replication/ledger/ledger.ts";
import { ACCOUNT_NAME_CHARS_MAX, Owners } from "../../src/replication/ledger/owners.ts";
import { decodeTransfer, encodeTransfer } from "../../src/replication/ledger/transfer.ts";
import { bareVictim, LIAR, messagesOf, SCENE, signedBy, victim } from "./dag-fixture.ts";
import type { Field } from "./mutator.ts";
import { bucket, codecTarget, fieldsOf, promise, shapeOf, type Target, wordsOf } from "./target.ts";

/** Where the fields of a message stand behind its first byte. Nothing is decoded by these but for the mutator. */
const BODIES: Readonly<Record<number, Codec<never>>> = {
  64: struct({ poll: u64, lanes: vec(vec(hash, WAYPOINTS_MAX), QUERIED_LANES_MAX) }) as Codec<never>,
  65: struct({
    to: validatorIndexCodec,
    poll: u64,
    heads: vec(u8, QUERIED_LANES_MAX),
    dissents: vec(struct({ bundle: hash, vertices: vec(u16, BUNDLE_VERTICES_MAX) }), DISSENTS_MAX),
  }) as Codec<never>,
  66: votesCodec as Codec<never>,
};

/** More bytes than one message may make an engine say at once: an answer to the largest query, and its own votes. */
const SAID_BYTES_MAX: number = 64 * 1024;

function saidBytes(effects: readonly Effect<AvalancheMessage>[]): number {
  return messagesOf(effects).reduce((sum, message) => sum + encodeMessage(message).length, 0);
}

/** The liar says it to an engine in the middle of its life; then time goes on. */
function useMessage(message: AvalancheMessage): string {
  const { core, inside } = victim();
  promise(/^[0-9a-f]{64}$/.test(statementDigest(network, statementOf(message))), "a statement's digest is no hash");
  const verdict = core.screen(message);
  if (verdict.kind !== "accept") return wordsOf(verdict.reason);
  const effects = [...core.onMessage(signedBy(LIAR, message), 20)];
  // All hear of it twice, and what it named comes late.
  effects.push(...core.onMessage(signedBy(LIAR, message), 21));
  effects.push(...core.onEvent({ kind: "dag-bundles", nowMs: 30, wallMs: 30, bundles: [arrival(SCENE.late)] }));
  for (const nowMs of [1_100, 1_200, 3_000, 8_000, 8_100])
    for (const name of ["poll", "patience"] as const) effects.push(...core.onTimer(name, nowMs));
  const bytesSaid = saidBytes(effects);
  promise(bytesSaid <= SAID_BYTES_MAX, `${bytesSaid} bytes are said because of one message`);
  promise(
    effects.every(({ kind }) => kind !== "decide"),
    "one validator decides nothing",
  );
  promise(inside.graph.sets.size < 32 && inside.graph.nodes.size < 16, "a message made conflict sets or bundles");
  return `${effects.length} ${effects.map(({ kind }) => kind[0]).join("")}`;
}

const AVALANCHE_MESSAGE: Target = {
  name: "avalanche-message",
  sizeMax: 96 * 1024,
  run: (input) => {
    let message: AvalancheMessage;
    try {
      message = decodeMessage(input);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      promise(error.offset >= 0 && error.offset <= input.length, `an error at byte ${error.offset} of ${input.length}`);
      return `${wordsOf(error.message)} ${error.code} ${input[0] ?? -1}`;
    }
    promise(Buffer.compare(encodeMessage(message), input) === 0, "what was decoded has another encoding");
    return `${shapeOf(message)} ${useMessage(message)}`;
  },
  fields: (input) => shifted(BODIES[input[0] ?? 0], input),
};

function shifted(codec: Codec<never> | undefined, input: Uint8Array): readonly Field[] {
  if (codec === undefined) return [];
  return fieldsOf(codec, input.subarray(1)).map(({ offset, size }) => ({ offset: offset + 1, size }));
}

function useDagBundle(bundle: Bundle): string {
  const fault = bundleFault(network, bundle);
  if (fault !== null) return wordsOf(fault);
  if (bundle.purpose !== "dag") return bundle.purpose;
  const { core, inside } = victim();
  const held = holdBundle(network, bundle);
  const nodes = inside.graph.nodes.size;
  const effects = [...core.onEvent({ kind: "dag-bundles", nowMs: 20, wallMs: 20, bundles: [arrival(held)] })];
  for (const name of ["poll", "patience"] as const) effects.push(...core.onTimer(name, 3_000));
  promise(inside.graph.nodes.size <= nodes + 1, "one bundle is one node");
  promise(saidBytes(effects) <= SAID_BYTES_MAX, "a bundle makes an engine say too much");
  return effects.map(({ kind }) => kind[0]).join("");
}

const envelopeShape = struct({
  conflictKeys: vec(bytes(CONFLICT_KEY_BYTES_MAX), CONFLICT_KEYS_MAX),
  payload: bytes(PAYLOAD_BYTES_MAX),
});

const ENVELOPE: Target = {
  name: "envelope",
  sizeMax: 16 * 1024,
  run: (input) => {
    const envelope = openEnvelope(input);
    if (envelope === null) return "none";
    promise(
      Buffer.compare(sealEnvelope(envelope), input) === 0,
      "an envelope that was opened is sealed in another way",
    );
    const sets = new Set(envelope.conflictKeys.map(conflictSetOf));
    promise(sets.size === envelope.conflictKeys.length, "keys that differ name one set");
    return shapeOf(envelope);
  },
  fields: (input) => fieldsOf(envelopeShape, input),
};

const owners = new Owners(network.set.roster.map(({ name, nodeId }) => ({ name, nodeId })));
const ledger = new Ledger({ accounts: new Map([["validator-0/main", 9n]]), owners });

const transferShape = struct({
  command: u32,
  from: string(ACCOUNT_NAME_CHARS_MAX),
  to: string(ACCOUNT_NAME_CHARS_MAX),
  amount: u64,
  number: u64,
});

const TRANSFER: Target = {
  name: "transfer",
  sizeMax: 4 * 1024,
  run: (input) => {
    const creator = network.set.at(0 as ValidatorIndex).nodeId;
    const claim = ledger.claimOf(input, creator);
    const keys = "fault" in claim ? [] : claim.keys;
    const fault = envelopeFault(ledger, sealEnvelope({ conflictKeys: keys, payload: input }), creator);
    promise((fault === null) === !("fault" in claim), "what the ledger claims is what an envelope must declare");
    const transfer = decodeTransfer(input);
    if (transfer === null) return "none";
    promise(Buffer.compare(encodeTransfer(transfer), input) === 0, "what was decoded has another encoding");
    return fault === null ? "fine" : wordsOf(fault);
  },
  fields: (input) => fieldsOf(transferShape, input),
};

function useUnit(proof: UnitProof): string {
  const member = openUnit(network, proof);
  if (member === null) return "opens to nothing";
  promise(member.sets.length <= CONFLICT_KEYS_MAX, "more sets than keys");
  promise(proof.kind !== "vertex" || proof.index < proof.count, "a vertex outside of its bundle");
  return `opens, ${member.sets.length} sets`;
}

function useReport(report: Report): string {
  const fault = reportFault(network, report);
  if (fault !== null) return wordsOf(fault);
  const obligations = obligationsOfReport(network, report);
  for (const { leaf, proof } of obligations) proofRoot(leaf, proof);
  promise(obligations.length <= network.set.roster.length, `${obligations.length} signature checks of one report`);
  promise(openReport(network, report) !== null, "a report without a fault opens");
  const heard = { creator: LIAR, report };
  const { state, decided } = applyReports(network, NO_RESOLUTIONS, [heard, heard]);
  promise(decided.length === 0, "one validator's reports decide nothing");
  promise(state.open.length <= 1, "one report opens one conflict");
  resolutionDigest(state);
  return `counts: ${countsIn(network.set, report)}, open: ${state.open.length}`;
}

function useState(state: ResolutionState): string {
  promise(/^$|^[0-9a-f]{64}$/.test(resolutionDigest(state) ?? ""), "a state's digest is no hash");
  const { decided, lost } = rulingsOf(state);
  promise(decided.length + lost.length === state.rulings.length, "a ruling is for or against its unit");
  return bucket(decided.length).toString();
}

/** Where the fields of a row stand, for the mutator alone. */
const ownVotesShape = struct({
  accept: option(vec(u16, BUNDLE_VERTICES_MAX)),
  commit: option(vec(u16, BUNDLE_VERTICES_MAX)),
  held: vec(u16, BUNDLE_VERTICES_MAX + 1),
  reported: vec(u16, BUNDLE_VERTICES_MAX + 1),
});

/** A row of an engine that begins anew: whatever stands in it, the engine starts or names the damage. */
const OWN_VOTE_ROW: Target = {
  name: "row-own-vote",
  sizeMax: 16 * 1024,
  run: (input) => {
    const [held] = SCENE.bundles.slice(2);
    const rows = [{ key: `dag/vote/${held?.ref.digest}`, value: input }];
    let votes: RestoredRows["own"];
    try {
      votes = restoreRows(rows).own;
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      promise(error.offset >= 0 && error.offset <= input.length, `an error at byte ${error.offset} of ${input.length}`);
      return `${wordsOf(error.message)} ${error.code} ${bucket(error.offset)}`;
    }
    const open = SCENE.bundles.map((bundle) => {
      return { held: bundle, place: "open", accepted: [], rejected: [], certified: [] } as const;
    });
    const { core, effects } = bareVictim({ restored: { lanes: bareVictim().core.handOver().lanes, open }, rows });
    for (const nowMs of [1_100, 8_000]) effects.push(...core.onTimer("patience", nowMs));
    return `${shapeOf([...votes.values()])} ${effects.map(({ kind }) => kind[0]).join("")}`;
  },
  fields: (input) => fieldsOf(ownVotesShape, input),
};

export const DAG_TARGETS: readonly Target[] = [
  AVALANCHE_MESSAGE,
  codecTarget("dag-bundle", bundleCodec, useDagBundle),
  codecTarget("signed-votes", signedVotesCodec, ({ message }) => {
    return `${statementDigest(network, votesStatement(message)).slice(0, 0)}${wordsOf(votesFault(message) ?? "votes")}`;
  }),
  ENVELOPE,
  TRANSFER,
  codecTarget("unit-proof", unitProofCodec, useUnit),
  codecTarget("report", reportCodec, useReport),
  codecTarget("resolution-state", resolutionStateCodec, useState),
  OWN_VOTE_ROW,
  codecTarget("row-dag-standing", dagStandingCodec, (standing) => {
    return `${isSettled(standing)} ${bucket(acceptedOf(standing, 8).length)}`;
  }),
  codecTarget("row-accepted-run", acceptedRunCodec),
  codecTarget("row-local-order", localOrderCodec),
  codecTarget("row-lane-tip", laneTipCodec),
];
