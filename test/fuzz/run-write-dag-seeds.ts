/** Writes the seeds of the leaderless engine's formats by the real encoders: `node scripts/bun.cjs test/fuzz/run-write-dag-seeds.ts`. */
import type { DagCertificate } from "../../src/consensus/dag-engine.ts";
import { type Codec, encode } from "../../src/codec/codec.ts";
import { arrival, NETWORK as network } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { encodeMessage } from "../../src/consensus/avalanche/messages.ts";
import { bundleCodec, bundleStatement, type HeldBundle } from "../../src/dag/bundle.ts";
import { sealEnvelope } from "../../src/dag/conflict-keys.ts";
import { type Report, reportCodec } from "../../src/dag/report.ts";
import { applyReports } from "../../src/dag/resolution.ts";
import { NO_RESOLUTIONS, resolutionStateCodec } from "../../src/dag/resolution-state.ts";
import { proveUnit, unitProofCodec } from "../../src/dag/unit-proof.ts";
import { signedVotesCodec, type Votes, votesStatement } from "../../src/dag/votes.ts";
import { present } from "../../src/lib/assert.ts";
import { toHash } from "../../src/lib/hash.ts";
import type { Epoch, Nonce, Position, ValidatorIndex } from "../../src/membership/ids.ts";
import type { Proof, Signed } from "../../src/membership/seal.ts";
import { type Statement, statementDigest } from "../../src/membership/statement.ts";
import * as rows from "../../src/node/dag-rows.ts";
import * as wire from "../../src/node/wire.ts";
import { encodeTransfer, transferKey } from "../../src/replication/ledger/transfer.ts";
import { prove } from "../cluster/signing.ts";
import { keep } from "./corpus.ts";
import { bareVictim, LIAR, messagesOf, SCENE, signedBy, victim } from "./dag-fixture.ts";

const ONES = toHash(new Uint8Array(32).fill(1));
const [, , first, second, fork] = SCENE.bundles;
const FIRST: HeldBundle = present(first, "a bundle");
const SECOND: HeldBundle = present(second, "a bundle");
const FORK: HeldBundle = present(fork, "a bundle");

function seed<T>(target: string, name: string, codec: Codec<T>, value: T): void {
  keep(target, `seed-${name}`, encode(codec, value));
}

function proofBy(signer: number, statement: Statement): Proof {
  return present(prove(network, signer as ValidatorIndex, [statementDigest(network, statement)])[0], "a proof");
}

/** What an engine says in the scene, and what the others answer. */
function writeMessages(): void {
  const asking = victim();
  const query = present(messagesOf(asking.effects)[0], "a query");
  keep("avalanche-message", "seed-query", encodeMessage(query));
  const answering = bareVictim({ self: 1 as ValidatorIndex });
  const bundles = [...SCENE.bundles].reverse().map((held) => arrival(held));
  answering.core.onEvent({ kind: "dag-bundles", nowMs: 5, wallMs: 5, bundles });
  const answer = messagesOf(answering.core.onMessage(signedBy(0 as ValidatorIndex, query), 6))[0];
  keep("avalanche-message", "seed-answer", encodeMessage(present(answer, "an answer")));
  const dissents = [{ bundle: FIRST.ref.digest, vertices: [0, 1] }];
  if (answer?.kind === "answer") keep("avalanche-message", "seed-dissent", encodeMessage({ ...answer, dissents }));
  keep("avalanche-message", "seed-votes", encodeMessage(votes()));
  const late = { level: "commit", bundle: SCENE.late.ref.digest, except: [] } as const;
  keep("avalanche-message", "seed-early", encodeMessage({ kind: "votes", entries: [late] }));
}

function votes(): Votes {
  return {
    kind: "votes",
    entries: [
      { level: "accept", bundle: FIRST.ref.digest, except: [1] },
      { level: "accept", bundle: SECOND.ref.digest, except: [0, 1] },
      { level: "commit", bundle: FORK.ref.digest, except: [] },
    ],
  };
}

function signedVotes(signer: number): Signed<Votes> {
  return { message: votes(), proof: proofBy(signer, votesStatement(votes())) };
}

function writeReports(): void {
  seed("signed-votes", "three", signedVotesCodec, signedVotes(1));
  seed("unit-proof", "place", unitProofCodec, proveUnit(FORK, null));
  seed("unit-proof", "vertex", unitProofCodec, proveUnit(SECOND, 0));
  const bare: Report = { epoch: 0 as Epoch, subject: proveUnit(SECOND, 0), certified: null };
  const certified = { unit: proveUnit(FIRST, 0), votes: [1, 2, 3].map(signedVotes) };
  seed("report", "bare", reportCodec, bare);
  seed("report", "certified", reportCodec, { ...bare, certified });
  const reports = [0, 1, 2].map((creator) => ({ creator: creator as ValidatorIndex, report: bare }));
  const place = { creator: LIAR, report: { ...bare, subject: proveUnit(FORK, null) } };
  const { state } = applyReports(network, NO_RESOLUTIONS, [...reports, place]);
  seed("resolution-state", "ruled", resolutionStateCodec, state);
  seed("resolution-state", "none", resolutionStateCodec, NO_RESOLUTIONS);
}

function writeWire(): void {
  const item = (held: HeldBundle, state: wire.DagItem["state"], undecided: readonly number[]): wire.DagItem => {
    const proof = proofBy(held.ref.creator, bundleStatement(held.ref));
    const votes: DagCertificate["votes"] = [
      { message: { kind: "votes", entries: [{ level: "accept", bundle: held.ref.digest, except: [] }] }, proof },
    ];
    const certified = state === "certified" ? [{ epoch: 0 as Epoch, place: true, vertices: [0], votes }] : [];
    return { bundle: { body: encode(bundleCodec, held.bundle), proof }, state, undecided, rejected: [], certified };
  };
  const items = [item(FIRST, "certified", [0]), item(SECOND, "accepted", []), item(FORK, "rejected", [0])];
  seed("dag-answer", "last", wire.dagAnswerCodec, { epoch: 0 as Epoch, passed: [0 as Epoch], items, isLast: true });
  const late = { epoch: 1 as Epoch, passed: [], items: [item(SCENE.late, "open", [0])], isLast: false };
  seed("dag-answer", "first", wire.dagAnswerCodec, late);
  seed("question", "witness", wire.questionCodec, { kind: "witness", validator: LIAR });
  seed("question", "vertices", wire.questionCodec, { kind: "vertices", tips: [FIRST.ref.tip, ONES] });
  const above = [4, 0, 2, 1].map((nonce) => nonce as Nonce);
  seed("question", "dag", wire.questionCodec, { kind: "dag", above, start: 1 as ValidatorIndex, isForEpoch: true });
  const { bundle } = present(items[0], "an item");
  const statement: Statement = { phase: "commit", view: 1, sequence: 2, digest: ONES };
  seed("witness-answer", "all", wire.witnessAnswerCodec, {
    statements: [{ epoch: 0 as Epoch, statement, proof: proofBy(1, statement) }],
    bundle,
    dagBundle: bundle,
    checkpoint: new Uint8Array(3),
  });
  const nothing = { statements: [], bundle: null, dagBundle: null, checkpoint: null };
  seed("witness-answer", "nothing", wire.witnessAnswerCodec, nothing);
}

/** The row of an engine that accepted one bundle: it alone has the encoder. */
function writeOwnVotes(): void {
  const one = bareVictim();
  one.core.onEvent({ kind: "dag-bundles", nowMs: 5, wallMs: 5, bundles: SCENE.bundles.map((held) => arrival(held)) });
  for (let nowMs = 100; nowMs <= 8_000; nowMs += 100) {
    for (const effect of one.core.onTimer("patience", nowMs)) {
      if (effect.kind !== "persist") continue;
      for (const { key, value } of effect.writes) {
        if (value !== null && key.endsWith(FIRST.ref.digest)) keep("row-own-vote", `seed-${nowMs}`, value);
      }
    }
  }
}

function writeRows(): void {
  for (const [name, held] of [
    ["first", FIRST],
    ["late", SCENE.late],
  ] as const) {
    seed("dag-bundle", name, bundleCodec, held.bundle);
    seed("bundle", `dag-${name}`, bundleCodec, held.bundle);
  }
  seed("row-dag-standing", "accepted", rows.dagStandingCodec, {
    place: "accepted",
    undecided: [1, 3],
    rejected: [2],
    height: 7,
  });
  seed("row-dag-standing", "open", rows.dagStandingCodec, rows.OPEN_STANDING);
  const run = { bundle: ONES, creator: LIAR, firstNonce: 3 as Nonce, first: 1, count: 2, height: 5 };
  seed("row-accepted-run", "run", rows.acceptedRunCodec, { ...run, timestampMs: 1_700_000_000_000 });
  const order = { position: 99 as Position, timestampMs: 1_700_000_000_000 };
  seed("row-local-order", "order", rows.localOrderCodec, order);
  seed("row-lane-tip", "tip", rows.laneTipCodec, { nonce: 9 as Nonce, tip: ONES });
  const transfer = { from: "validator-0/main", to: "validator-1/main", amount: 7n, number: 1 };
  keep("transfer", "seed-fine", encodeTransfer(transfer));
  keep("transfer", "seed-others", encodeTransfer({ ...transfer, from: "validator-2/a" }));
  const envelope = { conflictKeys: [transferKey(transfer), new Uint8Array([1])], payload: encodeTransfer(transfer) };
  keep("envelope", "seed-keys", sealEnvelope(envelope));
  keep("envelope", "seed-none", sealEnvelope({ conflictKeys: [], payload: new Uint8Array([1, 2, 3]) }));
}

writeMessages();
writeReports();
writeWire();
writeOwnVotes();
writeRows();
