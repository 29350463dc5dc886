import { decode, encode } from "../../codec/codec.ts";
import { struct } from "../../codec/composites.ts";
import { hash, u64 } from "../../codec/primitives.ts";
import type { Codec } from "../../codec/codec.ts";
import { sequenceCodec } from "../../consensus/log-codec.ts";
import { StateDivergence } from "../../consensus/checkpoint.ts";
import type { CheckpointCertificate } from "../../consensus/engine.ts";
import { replaceState as replaceInHotStuff } from "../../consensus/hotstuff/durable.ts";
import { replaceState as replaceInPbft } from "../../consensus/pbft/durable.ts";
import type { NodeId } from "../../crypto/identity.ts";
import { asciiBytes } from "../../lib/ascii.ts";
import { type Hash, ZERO_HASH } from "../../lib/hash.ts";
import type { StateCertificate } from "../../light/state-certificate.ts";
import { stateOf } from "../../light/state-certificate.ts";
import type { Epoch, Position, Sequence } from "../../membership/ids.ts";
import { type MembershipState, membershipStateCodec, validatorSetOf } from "../../membership/membership-state.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { executionStateDigest } from "../../replication/executor.ts";
import { Ledger } from "../ledger.ts";
import type { EngineName } from "../genesis-application.ts";
import type { Log } from "../observer.ts";
import type { Database } from "../ports.ts";
import { ProofLedger } from "../proof-ledger.ts";
import { SnapshotStore } from "../replicated/snapshot-store.ts";
import { WriteBatch } from "../write-batch.ts";
import { NodeError } from "../service.ts";
import { undoAfter } from "./log-trimming.ts";
import { forgetOld } from "./pruner.ts";
import { type CertifiedSnapshot, StateOffers } from "./state-offers.ts";
import { StateTaken } from "./state-taker.ts";
import type { VerifiedState } from "./verified-state.ts";

/** Why a node stops to start again on another state than it had. */
export type Recoverable = StateTaken | StateDivergence;

export function isRecoverable(error: unknown): error is Recoverable {
  return error instanceof StateTaken || error instanceof StateDivergence;
}

export interface RecoveryParts {
  readonly network: NetworkContext;
  /** The membership at genesis. */
  readonly membership: MembershipState;
  readonly nodeId: NodeId;
  readonly engine: EngineName;
  readonly database: Database;
  readonly log: Log;
}

/** Up to which place this node's state was found to be wrong once: a second time there is no use in going back again. */
const ROLLED_BACK_KEY = asciiBytes("rolled-back");
const rolledBackCodec: Codec<{ readonly sequence: number }> = struct<{ sequence: number }>({ sequence: u64 });

/** That this node's state is not the quorum's, until it went back: nobody might say so again where its process ends before that. */
const DIVERGED_KEY = asciiBytes("diverged");
interface Divergence {
  readonly sequence: Sequence;
  readonly own: Hash;
  readonly stateDigest: Hash;
}
const divergenceCodec: Codec<Divergence> = struct<Divergence>({
  sequence: sequenceCodec,
  own: hash,
  stateDigest: hash,
});

/** Writes down why the node stops, for a next start that is not told. */
export async function recordDivergence(
  database: Database,
  { sequence, own, certified: stateDigest }: StateDivergence,
): Promise<void> {
  const batch = new WriteBatch();
  batch.put("consensus", DIVERGED_KEY, encode(divergenceCodec, { sequence, own, stateDigest }));
  await database.write(batch.finish());
}

/** Why the last run on this database ended, where its state is still another than the quorum's; null where it is not. */
export async function recordedDivergence(database: Database): Promise<StateDivergence | null> {
  const row = await database.get("consensus", DIVERGED_KEY);
  if (row === undefined) return null;
  const divergence = decode(divergenceCodec, row);
  return new StateDivergence(divergence, divergence.own);
}

/**
 * Between two runs of the node, on its database: puts the state in effect that was taken over, or goes back from a state that
 * is not the quorum's to the newest own one that a quorum certified. All of it is one write. The node then takes everything
 * else from its peers, as any node that was away.
 *
 * Invariant: a state is in effect only with a quorum's certificate, or executed from one; and a node that went back says
 * nothing until a checkpoint is stable above all that it said of its wrong states.
 * @throws NodeError `storage-failed` where going back did not help before
 */
export async function recover(parts: RecoveryParts, why: Recoverable): Promise<void> {
  if (why instanceof StateTaken) await install(parts, why.state);
  else await rollBack(parts, why);
}

async function install(parts: RecoveryParts, state: VerifiedState): Promise<void> {
  const { database, network, engine } = parts;
  const { execution, certificate, links } = state;
  const ledger = new Ledger(database, network);
  const proofs = new ProofLedger(database);
  const batch = new WriteBatch();
  ledger.recordState(batch, state);
  ledger.recordLogStart(batch, {
    sequence: (execution.sequence + 1) as Sequence,
    position: (execution.position + 1) as Position,
  });
  for (const link of links) {
    const end = stateOf(link.certificate);
    const { epoch } = link.certificate;
    proofs.recordEpochEnd(batch, epoch, { signer: null, state: link.certificate.state, membership: link.membership });
    proofs.recordCertificate(batch, end.sequence, link.certificate);
    proofs.closeEpochEnd(batch, epoch);
  }
  proofs.recordCertificate(batch, execution.sequence, certificate);
  if (certificate.phase === "executed") {
    const { state: end, epoch } = certificate;
    proofs.recordEpochEnd(batch, epoch, {
      signer: null,
      state: end,
      membership: encode(membershipStateCodec, state.membership, 4_096),
    });
    proofs.closeEpochEnd(batch, epoch);
  }
  // Of this batch nothing but the chain's digest after it is known, which the next one builds on.
  proofs.recordHistory(batch, execution.sequence, {
    batch: ZERO_HASH,
    executed: ZERO_HASH,
    history: execution.history,
  });
  await recordEngine(ledger, batch, { engine, epoch: execution.epoch, stable: checkpointOf(certificate) });
  await database.write(batch.finish());
  // What was executed before is not connected to this any more; it may be of validators that came meanwhile.
  ledger.follow({ genesis: network.genesis, set: validatorSetOf(state.membership) });
  await forgetOld({ ledger, database });
}

async function rollBack(parts: RecoveryParts, why: StateDivergence): Promise<void> {
  const { database, network: first, membership, engine, log } = parts;
  const mark = await database.get("consensus", ROLLED_BACK_KEY);
  if (mark !== undefined && why.sequence <= decode(rolledBackCodec, mark).sequence) {
    const what = `this node went back to a certified state once, and came to a wrong one again (${why.message})`;
    const cause = "its application is another version than that of the others, or is not deterministic";
    const forgotten = new WriteBatch();
    forgotten.delete("consensus", DIVERGED_KEY);
    await database.write(forgotten.finish());
    throw new NodeError("storage-failed", `${what}: ${cause}`, { cause: why });
  }
  const ledger = new Ledger(database, first);
  const present = (await ledger.loadMembership()) ?? membership;
  ledger.follow({ genesis: first.genesis, set: validatorSetOf(present) });
  const executed = (await ledger.loadExecution())?.sequence ?? (0 as Sequence);
  const good = await new StateOffers(database).certified((why.sequence - 1) as Sequence);
  const to = placeOf(good);
  log("error", "state.diverged", { error: why.message, batch: why.sequence, backTo: to.sequence });
  const batch = new WriteBatch();
  await undoAfter(ledger, batch, to);
  if (good === null) ledger.forgetState(batch);
  else ledger.recordState(batch, good.snapshot);
  const epoch = good?.snapshot.execution.epoch ?? first.set.epoch;
  const stable = good === null ? null : checkpointOf(good.certificate);
  await recordEngine(ledger, batch, { engine, epoch, stable });
  recordSilence(ledger, batch, { ...parts, present, executed });
  batch.put("consensus", ROLLED_BACK_KEY, encode(rolledBackCodec, { sequence: Math.max(executed, why.sequence) }));
  batch.delete("consensus", DIVERGED_KEY);
  // A snapshot of a wrong state must never be found again, and one of a right state not be missed by a start that comes in between.
  const snapshots = new SnapshotStore(database);
  await snapshots.eraseAfter(batch, to.sequence);
  await database.write(batch.finish());
  await snapshots.forgetAfter(to.sequence);
}

/** Every checkpoint that this node may have voted for lies at or below what it executed. */
function recordSilence(
  ledger: Ledger,
  batch: WriteBatch,
  parts: Pick<RecoveryParts, "nodeId"> & { readonly present: MembershipState; readonly executed: Sequence },
): void {
  const set = validatorSetOf(parts.present);
  const self = set.indexOf(parts.nodeId);
  const { epoch } = set;
  // It may have been a validator of an epoch to which it goes back.
  const term = self === null ? epoch : set.termOf(self);
  ledger.recordSilence(batch, { epoch, term, stable: parts.executed, nonce: 0, viewFloor: -1 });
}

async function recordEngine(
  ledger: Ledger,
  batch: WriteBatch,
  at: { readonly engine: EngineName; readonly epoch: Epoch; readonly stable: CheckpointCertificate | null },
): Promise<void> {
  const rows = await ledger.loadEngine(at.epoch);
  const replace = at.engine === "hotstuff" ? replaceInHotStuff : replaceInPbft;
  ledger.recordEngine(batch, at.epoch, replace(rows, at.stable));
}

function placeOf(good: CertifiedSnapshot | null): { readonly sequence: Sequence; readonly position: Position } {
  return good?.snapshot.execution ?? { sequence: 0 as Sequence, position: 0 as Position };
}

/** Null where an epoch ended with this state: the next one's engine begins there. */
function checkpointOf(certificate: StateCertificate): CheckpointCertificate | null {
  const state = stateOf(certificate);
  const { epoch, phase, proofs } = certificate;
  if (phase !== "checkpoint") return null;
  return { epoch, sequence: state.sequence, stateDigest: executionStateDigest(state), proofs };
}
