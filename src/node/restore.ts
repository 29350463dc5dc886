import type { CheckpointCertificate } from "../consensus/engine.ts";
import { restore as restoreHotStuff } from "../consensus/hotstuff/durable.ts";
import { restore as restorePbft } from "../consensus/pbft/durable.ts";
import type { LaneTip } from "../dag/lanes.ts";
import { batchDigest } from "../dag/batch.ts";
import { NO_RESOLUTIONS, resolutionDigest, type ResolutionState } from "../dag/resolution-state.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Hash } from "../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import { membershipDigest, type MembershipState, validatorSetOf } from "../membership/membership-state.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { type ExecutionState, genesisState } from "../replication/executor.ts";
import type { EngineName } from "./genesis-application.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import type { Silence } from "./start-gate.ts";
import { NodeError } from "./service.ts";

/** Rows of the log that are read back at every start. */
const LOG_CHECKED = 64;

/** Bundles of one lane read at a time. */
const LANE_PAGE = 256;

/** What the disk says at start. */
export interface Restored {
  readonly execution: ExecutionState;
  readonly membership: MembershipState;
  /** The open conflicts, and what became of others. */
  readonly resolution: ResolutionState;
  /** The network with the validator set of the epoch that goes on. */
  readonly network: NetworkContext;
  readonly engineRows: readonly { readonly key: string; readonly value: Uint8Array }[];
  readonly checkpoint: CheckpointCertificate | null;
  /** Up to which place, and which view, this node may have said something. */
  readonly lastVote: Sequence;
  readonly lastView: View;
  readonly silence: Silence | null;
  /** Bundles that wait to be ordered, of every lane. */
  readonly waiting: readonly StoredBundle[];
  /** Where this node's own lane goes on; genesis for an observer. */
  readonly ownTip: LaneTip;
}

/**
 * Reads the node's state back and checks that it is whole. RocksDB opens a damaged write-ahead log without an error and
 * drops its tail; a tail that is cut cleanly leaves an older but whole state, which `start-gate.ts` notices with the help
 * of peers. Anything else shows here.
 * @throws NodeError `storage-failed` where rows contradict each other
 */
export async function restoreNode(
  ledger: Ledger,
  {
    genesis,
    first,
    nodeId,
    application,
    engine = "pbft",
  }: {
    readonly genesis: Hash;
    readonly first: MembershipState;
    readonly nodeId: NodeId;
    /** The root of the application before anything happened to it; null where there is none. */
    readonly application: Hash | null;
    /** Whose rows the engine's are; a leaderless one's order is PBFT's. Default "pbft". */
    readonly engine?: EngineName;
  },
): Promise<Restored> {
  const membership = (await ledger.loadMembership()) ?? first;
  const network: NetworkContext = { genesis, set: validatorSetOf(membership) };
  // Bundles of validators that came after genesis are of this network alone.
  ledger.follow(network);
  const execution = (await ledger.loadExecution()) ?? genesisState(network, membership, application);
  if (execution.membership !== membershipDigest(membership))
    throw damaged("its validator set is not that of its state");
  if ((execution.application === null) !== (application === null))
    throw damaged("it is of a network with another application");
  const resolution = (await ledger.loadResolution()) ?? NO_RESOLUTIONS;
  if (execution.resolution !== resolutionDigest(resolution))
    throw damaged("its open conflicts are not those of its state");
  const self = network.set.indexOf(nodeId);
  if (execution.lanes.length !== network.set.roster.length) throw damaged("its lanes are not this network's");
  await checkLog(ledger, execution);
  const engineRows = await ledger.loadEngine(execution.epoch);
  const said = engine === "hotstuff" ? saidInHotStuff(engineRows) : saidInPbft(engineRows);
  const waiting: StoredBundle[] = [];
  for (const creator of network.set.indices()) {
    const ofLane = await waitingOfLane(ledger, creator, execution);
    // What an earlier term left unordered is void.
    waiting.push(...ofLane.filter(({ held }) => held.ref.term === network.set.termOf(creator)));
  }
  const lastVote = Math.max(execution.sequence, ...said.votes) as Sequence;
  const ownTip =
    self === null ? { nonce: 0 as LaneTip["nonce"], tip: network.genesis } : laneEnd(waiting, self, execution);
  return {
    execution,
    membership,
    resolution,
    network,
    engineRows,
    checkpoint: said.stable,
    lastVote,
    lastView: said.view,
    silence: await ledger.loadSilence(),
    waiting,
    ownTip,
  };
}

/** What an engine's rows say that this node may have said. */
interface Said {
  /** The places that it voted for above the executed ones. */
  readonly votes: readonly Sequence[];
  readonly view: View;
  readonly stable: CheckpointCertificate | null;
}

function saidInPbft(rows: Restored["engineRows"]): Said {
  const { accepted, view, stable } = restorePbft(rows);
  return { votes: [...accepted.keys()], view: view.view, stable };
}

function saidInHotStuff(rows: Restored["engineRows"]): Said {
  const { proposals, votes, stable } = restoreHotStuff(rows);
  const view = Math.max(votes.lastView, votes.proposedView) as View;
  return { votes: proposals.map(({ message }) => message.block.sequence), view, stable };
}

async function checkLog(ledger: Ledger, execution: ExecutionState): Promise<void> {
  const from = Math.max(1, execution.sequence - LOG_CHECKED + 1);
  for (let sequence = from; sequence <= execution.sequence; sequence++) {
    const slot = await ledger.committedSlot(sequence as Sequence);
    if (slot === null && (await isForgotten(ledger, sequence))) continue;
    if (slot === null) throw damaged(`the log has no place ${sequence}, though ${execution.sequence} is executed`);
    if (batchDigest(slot.batch) !== slot.certificate.digest)
      throw damaged(`place ${sequence} is not what was certified`);
  }
  await checkBundles(ledger, execution, from);
  if ((await ledger.committedSlot((execution.sequence + 1) as Sequence)) !== null) {
    throw damaged(`the log goes on after the executed place ${execution.sequence}`);
  }
}

/** Asked seldom: bundles of old places go before the places do, and a crash may have come in between. */
async function isForgotten(ledger: Ledger, sequence: number): Promise<boolean> {
  return sequence < (await ledger.logStart()).sequence;
}

/** What these places executed is here. They may name more: what was executed before, and is forgotten since. */
async function checkBundles(ledger: Ledger, { position }: ExecutionState, from: number): Promise<void> {
  for (let last: number = position; last > 0; ) {
    const [found] = await ledger.finalizedRuns(last, 1);
    if (found === undefined || found.run.batch < from) return;
    const { bundle, batch } = found.run;
    if ((await ledger.bundle(bundle)) === null)
      throw damaged(`place ${batch} executed bundle ${bundle}, which is gone`);
    last = found.firstPosition - 1;
  }
}

async function waitingOfLane(
  ledger: Ledger,
  creator: ValidatorIndex,
  execution: ExecutionState,
): Promise<readonly StoredBundle[]> {
  const waiting: StoredBundle[] = [];
  let nonce = (execution.lanes[creator]?.nonce ?? 0) + 1;
  for (;;) {
    const page = await ledger.bundlesOfLane(creator, nonce, LANE_PAGE);
    waiting.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < LANE_PAGE) return waiting;
    nonce = last.held.ref.firstNonce + 1;
  }
}

/** Where this node's own lane goes on: behind the last bundle that it made in this term. */
function laneEnd(waiting: readonly StoredBundle[], self: ValidatorIndex, execution: ExecutionState): LaneTip {
  const executed = execution.lanes[self] ?? { nonce: 0 as LaneTip["nonce"], tip: execution.history };
  const last = waiting.filter(({ held }) => held.ref.creator === self).at(-1);
  if (last === undefined) return { nonce: executed.nonce, tip: executed.tip };
  const { ref } = last.held;
  return { nonce: (ref.firstNonce + ref.count - 1) as LaneTip["nonce"], tip: ref.tip };
}

function damaged(what: string): NodeError {
  return new NodeError(
    "storage-failed",
    `the database is damaged: ${what}. Move the data folder away and start again: ` +
      "the node then takes everything over from its peers and keeps silent until its own votes are of the past.",
  );
}
