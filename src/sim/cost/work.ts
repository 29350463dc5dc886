import { ED25519_SIGNATURE_BYTES, ML_DSA_87_SIGNATURE_BYTES } from "../../crypto/signature.ts";
import type { CostTable } from "./cost-table.ts";

/** A seal on the wire and on disk: signer, leaf count, both signatures (membership/seal.ts). */
export const SEAL_BYTES: number = 2 + 4 + ML_DSA_87_SIGNATURE_BYTES + 1 + ED25519_SIGNATURE_BYTES;

/** A prepare or commit as an item of a sealed frame: tags, length, view, sequence, digest. */
const VOTE_BYTES = 64;

/** The leaf of a statement that a frame's receiver does not get in full. */
const LEAF_BYTES = 36;

/** A bundle without its payloads: creator, nonce, time, parent, lengths, and its item of a frame. */
const BUNDLE_BYTES = 80;

const DIGEST_BYTES = 32;

/** Rows of one executed bundle: body, location, run, two indices, edge (node/ledger.ts). */
const BUNDLE_ROWS = 6;

/** Rows of one place of the log: accepted, prepared, committed, execution state; the first two are deleted later. */
const SLOT_ROWS = 6;

/** Digests over one bundle's digest: trees of the batch when it is learnt, checked and executed, and its own statement. */
const DIGESTS_PER_BUNDLE = 8;

/** Digests of one place: batch, statements, history, state. */
const DIGESTS_PER_SLOT = 8;

/** A vertex's id and its two nodes of the bundle's tree. */
const DIGESTS_PER_VERTEX = 3;

const KIB = 1_024;

/** What happens each second in a network in its steady state. */
export interface Rates {
  readonly nodes: number;
  readonly quorum: number;
  readonly payloadBytes: number;
  readonly verticesPerRequest: number;
  /** Finalized in the whole network. */
  readonly vertices: number;
  /** Formed by each node. */
  readonly bundles: number;
  /** Places of the log in the whole network. */
  readonly slots: number;
  /** Signed turns of each node. */
  readonly turns: number;
}

/** Use of the leader's resources: 1 is one of them, all the time. The leader's is the highest, for it sends proposals. */
export interface Work {
  /** The event loop's thread. */
  readonly loop: number;
  /** All threads of the node, in cores. */
  readonly cores: number;
  /** The database thread: waiting for the disk, and writing. */
  readonly disk: number;
  /** Bytes a second sent to all peers together, and received of all. */
  readonly bytesOut: number;
  readonly bytesIn: number;
  /** The clients' side of the requests at all nodes, in cores. */
  readonly clients: number;
  /** Bytes of one node's frames of one turn to one peer. */
  readonly turnBytes: number;
  /** Bytes that one turn writes. */
  readonly turnDiskBytes: number;
  /** The event loop's work for one peer's turn, in microseconds. */
  readonly receiveUs: number;
  /** And for sending one own turn to all peers. */
  readonly sendUs: number;
}

/** What each of a node's resources has to do at these rates. */
export function workOf(rates: Rates, costs: CostTable): Work {
  const peers = rates.nodes - 1;
  const traffic = trafficOf(rates);
  const disk = writesOf(rates);
  const statements = statementsPerTurn(rates);
  const frames = traffic.frames;
  // A turn's two frames leave together and wake the receiver once.
  const receiveUs =
    costs.verifyLoopUs +
    (digestsOfPeersTurn(statements, frames / rates.turns) * costs.hashFixedUs +
      (frames / rates.turns) * costs.encodeFixedUs +
      costs.wireFixedUs / 2 +
      (traffic.bytesIn / rates.turns / KIB) * (costs.decodePerKiBUs + costs.wirePerKiBUs / 2));
  const sendUs =
    frames * costs.encodeFixedUs +
    (rates.turns * peers * costs.wireFixedUs) / 2 +
    (traffic.bytesOut / KIB) * (costs.encodePerKiBUs + (peers * costs.wirePerKiBUs) / 2);
  const ownUs = rates.turns * (costs.signUs + (3 + 2 * statements) * statements * costs.hashFixedUs);
  const storeUs = disk.rows * costs.rowUs + (disk.bytes / KIB) * costs.encodePerKiBUs;
  const requestsUs = requestUsPerS(rates, costs) / 2;
  const loopUs =
    ownUs + sendUs + peers * rates.turns * receiveUs + contentUs(rates, costs) + storeUs + requestsUs / rates.nodes;
  const poolUs = peers * rates.turns * Math.max(0, costs.verifyUs - costs.verifyLoopUs);
  const copyUs = disk.rows * costs.rowWriteUs + (disk.bytes / KIB) * costs.writePerKiBUs;
  return {
    loop: loopUs / 1e6,
    cores: (loopUs + poolUs + copyUs + rates.turns * costs.fsyncCpuUs) / 1e6,
    disk: (rates.turns * costs.fsyncUs + copyUs) / 1e6,
    bytesOut: peers * traffic.bytesOut,
    bytesIn: peers * traffic.bytesIn,
    clients: requestsUs / 1e6,
    turnBytes: traffic.bytesOut / rates.turns,
    turnDiskBytes: disk.bytes / rates.turns,
    receiveUs,
    sendUs: sendUs / rates.turns,
  };
}

/** Each node says one statement a bundle, and two a place: prepare (the leader's is its proposal) and commit. */
function statementsPerTurn({ slots, bundles, turns }: Rates): number {
  return (2 * slots + bundles) / turns;
}

/** Statements' digests, the seal's root for each frame, and each statement's path. */
function digestsOfPeersTurn(statements: number, frames: number): number {
  return statements + 2 * statements * frames + 2 * statements * statements;
}

/** Frames and bytes a second from the leader to one peer, and bytes from one peer. */
function trafficOf(rates: Rates): { readonly frames: number; readonly bytesOut: number; readonly bytesIn: number } {
  const { nodes, slots, bundles, turns, vertices, payloadBytes } = rates;
  const consensus = Math.min(turns, 2 * slots);
  const dissemination = Math.min(turns, bundles);
  const leaves = (consensus * bundles + dissemination * 2 * slots) / turns;
  const bytesIn =
    (consensus + dissemination) * SEAL_BYTES +
    2 * slots * VOTE_BYTES +
    leaves * LEAF_BYTES +
    bundles * BUNDLE_BYTES +
    (vertices / nodes) * (payloadBytes + 8);
  return { frames: consensus + dissemination, bytesIn, bytesOut: bytesIn + nodes * bundles * DIGEST_BYTES };
}

/** Rows, and bytes of large values, a second into one node's database. Certificates hold a quorum of seals: one for prepared, one for committed. */
function writesOf(rates: Rates): { readonly rows: number; readonly bytes: number } {
  const { nodes, quorum, slots, bundles, vertices, payloadBytes } = rates;
  return {
    rows: vertices + BUNDLE_ROWS * nodes * bundles + SLOT_ROWS * slots,
    bytes: vertices * (payloadBytes + 8) + nodes * bundles * SEAL_BYTES + slots * (2 * quorum + 1) * SEAL_BYTES,
  };
}

/** Ids and trees of all content; every node computes them for itself. In microseconds a second. */
function contentUs({ nodes, vertices, payloadBytes, bundles, slots }: Rates, costs: CostTable): number {
  const digests = DIGESTS_PER_VERTEX * vertices + DIGESTS_PER_BUNDLE * nodes * bundles + DIGESTS_PER_SLOT * slots;
  return digests * costs.hashFixedUs + vertices * (payloadBytes / KIB) * costs.hashPerKiBUs;
}

/** All requests of the network, client and server together, in microseconds a second. */
function requestUsPerS({ vertices, verticesPerRequest }: Rates, costs: CostTable): number {
  const more = (verticesPerRequest - 1) * costs.requestVertexUs;
  return (vertices / verticesPerRequest) * (costs.requestUs + more);
}
