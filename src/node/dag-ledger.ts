import { decode, encode } from "../codec/codec.ts";
import { hash } from "../codec/primitives.ts";
import { bundleCodec, holdBundle } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import { asciiBytes } from "../lib/ascii.ts";
import { present } from "../lib/assert.ts";
import { type Hash, toHash } from "../lib/hash.ts";
import type { Nonce, Position, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import {
  type AcceptedRun,
  acceptedRunCodec,
  type DagStanding,
  dagStandingCodec,
  laneTipCodec,
  type LocalOrder,
  localOrderCodec,
  OPEN_STANDING,
} from "./dag-rows.ts";
import type { StoredBundle } from "./ledger.ts";
import { bundleKey, edgeKey, hashKey, indexKey, keyNumber, laneKey, numberKey } from "./ledger-keys.ts";
import { type DagVertexMetadata, edgeCodec, type MetadataRow, metadataCodec } from "./ledger-rows.ts";
import type { Database } from "./ports.ts";
import { provenBodyCodec } from "./wire.ts";
import type { WriteBatch } from "./write-batch.ts";

/** A bundle with how far it is decided. */
export interface StandingBundle {
  readonly stored: StoredBundle;
  readonly standing: DagStanding;
}

const ORDER_KEY = asciiBytes("dag-order");
const LANE_PREFIX = "dag-lane/";
const NO_VALUE = new Uint8Array(0);

/** Rows read at a time. */
const PAGE_ROWS = 256;

/** Own bundles that are looked through for the last one of a term. */
const OWN_ROWS_MAX = 64;

/**
 * The rows of a leaderless network: bundles, how far each is decided, this node's own order of acceptance, and which vertex
 * won which conflict set. Writes go into the caller's batch, as the ledger's do.
 */
export class DagLedger {
  readonly #database: Database;
  #network: NetworkContext;

  constructor(database: Database, network: NetworkContext) {
    this.#database = database;
    this.#network = network;
  }

  /** Bundles are opened with the roster of this network from now on; it may grow. */
  follow(network: NetworkContext): void {
    this.#network = network;
  }

  store(batch: WriteBatch, stored: StoredBundle): void {
    const { ref } = stored.held;
    const { creator, firstNonce, digest } = ref;
    const key = bundleKey(creator, firstNonce, digest);
    const value = encode(provenBodyCodec, { body: stored.body, proof: stored.proof }, stored.body.length + 6_000);
    batch.put("dag", key, value);
    batch.put("dag_open", key, NO_VALUE);
    putMetadata(batch, digest, { kind: "dag-bundle", creator, firstNonce });
    putMetadata(batch, ref.tip, { kind: "dag-tip", creator, firstNonce, bundle: digest });
  }

  recordStanding(batch: WriteBatch, { held }: StoredBundle, standing: DagStanding, isSettled: boolean): void {
    const { creator, firstNonce, digest } = held.ref;
    const key = bundleKey(creator, firstNonce, digest);
    batch.put("dag_status", key, encode(dagStandingCodec, standing));
    if (isSettled) batch.delete("dag_open", key);
  }

  /** A bundle took its place in the lane: its edges, and where the lane stands now. */
  recordPlace(batch: WriteBatch, { held }: StoredBundle, lane: LaneTip): void {
    const { bundle, vertexIds, ref } = held;
    const child = present(vertexIds[0], "a bundle's first vertex");
    const { timestampMs } = bundle;
    for (const parent of new Set(bundle.parents)) {
      batch.put("edges", edgeKey(parent, child), encode(edgeCodec, { timestampMs, weight: ref.count }));
    }
    batch.put("consensus", laneRow(ref.creator), encode(laneTipCodec, lane));
  }

  recordRun(batch: WriteBatch, run: AcceptedRun, firstPosition: Position): void {
    batch.put("accepted", numberKey(firstPosition), encode(acceptedRunCodec, run));
    batch.put("index_height", indexKey(run.height, firstPosition), encode(hash, run.bundle));
    batch.put("index_timestamp", indexKey(run.timestampMs, firstPosition), encode(hash, run.bundle));
  }

  recordVertex(batch: WriteBatch, id: Hash, metadata: DagVertexMetadata): void {
    putMetadata(batch, id, metadata);
  }

  /** The final winner of a conflict set. */
  recordSpent(batch: WriteBatch, set: Hash, winner: Hash): void {
    batch.put("spent", hashKey(set), hashKey(winner));
  }

  recordOrder(batch: WriteBatch, order: LocalOrder): void {
    batch.put("consensus", ORDER_KEY, encode(localOrderCodec, order));
  }

  async loadOrder(): Promise<LocalOrder> {
    const row = await this.#database.get("consensus", ORDER_KEY);
    return row === undefined ? { position: 0 as Position, timestampMs: 0 } : decode(localOrderCodec, row);
  }

  /** For each validator of the roster, where its lane stands. */
  async loadLanes(): Promise<readonly LaneTip[]> {
    const { genesis, set } = this.#network;
    const keys = set.roster.map((_, place) => laneRow(place as ValidatorIndex));
    const rows = await this.#database.getMany("consensus", keys);
    return rows.map((row) => (row === undefined ? { nonce: 0 as Nonce, tip: genesis } : decode(laneTipCodec, row)));
  }

  /** Bundles of which something is open, lane by lane; ascending in each. */
  async loadOpen(): Promise<readonly StandingBundle[]> {
    const found: StandingBundle[] = [];
    const end = laneKey(this.#network.set.roster.length as ValidatorIndex, 0);
    let gte = laneKey(0 as ValidatorIndex, 0);
    for (;;) {
      const page = await this.#database.scan("dag_open", { gte, lt: end, limit: PAGE_ROWS });
      const keys = page.map(({ key }) => key);
      const bodies = await this.#database.getMany("dag", keys);
      const standings = await this.#standings(keys);
      bodies.forEach((body, index) => {
        const standing = standings[index] ?? OPEN_STANDING;
        found.push({ stored: this.#open(present(body, "the body of an open bundle")), standing });
      });
      const last = keys.at(-1);
      if (last === undefined || page.length < PAGE_ROWS) return found;
      gte = successor(last);
    }
  }

  /** The last bundle that a validator made in its present term; null where none is held. */
  async lastOf(creator: ValidatorIndex): Promise<StoredBundle | null> {
    const lt = laneKey((creator + 1) as ValidatorIndex, 0);
    const range = { gte: laneKey(creator, 0), lt, reverse: true, limit: OWN_ROWS_MAX };
    const rows = await this.#database.scan("dag", range);
    const term = this.#network.set.termOf(creator);
    return rows.map(({ value }) => this.#open(value)).find(({ held }) => held.ref.term === term) ?? null;
  }

  async bundle(digest: Hash): Promise<StoredBundle | null> {
    const metadata = await this.#metadata(digest);
    if (metadata?.kind !== "dag-bundle") return null;
    return await this.#bundleAt(metadata.creator, metadata.firstNonce, digest);
  }

  /** The bundle of which this is the last vertex. */
  async byTip(tip: Hash): Promise<StoredBundle | null> {
    const metadata = await this.#metadata(tip);
    if (metadata?.kind !== "dag-tip" && metadata?.kind !== "dag-vertex") return null;
    const stored = await this.#bundleAt(metadata.creator, metadata.firstNonce, metadata.bundle);
    return stored?.held.ref.tip === tip ? stored : null;
  }

  /** How far a bundle is decided that is on this disk; null where it is not. */
  async standing(digest: Hash): Promise<DagStanding | null> {
    const metadata = await this.#metadata(digest);
    if (metadata?.kind !== "dag-bundle") return null;
    const [standing] = await this.#standings([bundleKey(metadata.creator, metadata.firstNonce, digest)]);
    return standing ?? OPEN_STANDING;
  }

  /** The height of the bundle with this last vertex, where it took its place; null where it did not. */
  async heightOfTip(tip: Hash): Promise<number | null> {
    const metadata = await this.#metadata(tip);
    if (metadata?.kind !== "dag-tip" && metadata?.kind !== "dag-vertex") return null;
    const standing = await this.standing(metadata.bundle);
    return standing?.place === "accepted" ? standing.height : null;
  }

  /** A final vertex; null where none has this id. */
  async vertex(id: Hash): Promise<{ readonly metadata: DagVertexMetadata; readonly stored: StoredBundle } | null> {
    const metadata = await this.#metadata(id);
    if (metadata?.kind !== "dag-vertex") return null;
    const stored = await this.#bundleAt(metadata.creator, metadata.firstNonce, metadata.bundle);
    return { metadata, stored: present(stored, `the bundle of final vertex ${id}`) };
  }

  /** The winners of conflict sets, in their order; null where none is known. */
  async winners(sets: readonly Hash[]): Promise<readonly (Hash | null)[]> {
    const rows = await this.#database.getMany("spent", sets.map(hashKey));
    return rows.map((row) => (row === undefined ? null : toHash(row)));
  }

  /** The bundles of a lane that begin above a nonce, in order; at most `limit`. */
  async lane(creator: ValidatorIndex, above: number, limit: number): Promise<readonly StandingBundle[]> {
    const range = { gte: laneKey(creator, above + 1), lt: laneKey((creator + 1) as ValidatorIndex, 0), limit };
    const rows = await this.#database.scan("dag", range);
    const standings = await this.#standings(rows.map(({ key }) => key));
    return rows.map(({ value }, index) => ({
      stored: this.#open(value),
      standing: standings[index] ?? OPEN_STANDING,
    }));
  }

  /** The runs that cover `count` local places from `from` on, ascending, each with its first place. */
  async runs(
    from: number,
    count: number,
  ): Promise<readonly { readonly firstPosition: Position; readonly run: AcceptedRun }[]> {
    const before = await this.#database.scan("accepted", { lt: numberKey(from + 1), reverse: true, limit: 1 });
    const start = before[0]?.key ?? numberKey(from);
    const rows = await this.#database.scan("accepted", { gte: start, lt: numberKey(from + count), limit: count + 1 });
    return rows
      .map(({ key, value }) => ({ firstPosition: keyNumber(key) as Position, run: decode(acceptedRunCodec, value) }))
      .filter(({ firstPosition, run }) => firstPosition + run.count > from);
  }

  async #standings(keys: readonly Uint8Array[]): Promise<readonly DagStanding[]> {
    const rows = await this.#database.getMany("dag_status", keys);
    return rows.map((row) => (row === undefined ? OPEN_STANDING : decode(dagStandingCodec, row)));
  }

  async #bundleAt(creator: ValidatorIndex, firstNonce: Nonce, digest: Hash): Promise<StoredBundle | null> {
    const row = await this.#database.get("dag", bundleKey(creator, firstNonce, digest));
    return row === undefined ? null : this.#open(row);
  }

  async #metadata(key: Hash): Promise<MetadataRow | null> {
    const row = await this.#database.get("metadata", hashKey(key));
    return row === undefined ? null : decode(metadataCodec, row);
  }

  #open(row: Uint8Array): StoredBundle {
    const { body, proof } = decode(provenBodyCodec, row);
    return { held: holdBundle(this.#network, decode(bundleCodec, body)), body, proof };
  }
}

function putMetadata(batch: WriteBatch, key: Hash, row: MetadataRow): void {
  batch.put("metadata", hashKey(key), encode(metadataCodec, row));
}

function laneRow(creator: ValidatorIndex): Uint8Array {
  return asciiBytes(LANE_PREFIX + creator.toString(16).padStart(4, "0"));
}

/** The smallest key above this one. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
