import type { EngineEvent } from "../consensus/engine.ts";
import { type Bundle, type BundleRef, bundleStatement, holdBundle } from "../dag/bundle.ts";
import type { Lanes, LaneTip } from "../dag/lanes.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { BundlePool } from "./bundle-pool.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import type { Outbox } from "./outbox.ts";
import type { ProvenBody } from "./wire.ts";
import type { OwnLane } from "./own-lane.ts";

/** Waiting vertices of one creator that a node holds; beyond, its bundles are left until a proposal names them. */
const CREATOR_PENDING_MAX = 65_536;

/** And their bytes: a lying validator must not fill the others' memory. A proposal may still name more; it is fetched. */
const CREATOR_PENDING_BYTES_MAX: number = 64 * 1024 * 1024;

/** Bundles formed in one turn: 8 MiB of payload at the most. */
const BUNDLES_PER_TURN_MAX = 8;

/** And their bytes: a status is small, and what it is answered with must not be a weapon. */
const PUSHED_BYTES_MAX: number = 2 * 1024 * 1024;

/** Waiting bundles pushed to a peer that lacks them, at a time. */
const PUSHED_BUNDLES_MAX = 64;

export interface BundleExchangePorts {
  readonly network: NetworkContext;
  /** Null for an observer; it may change from epoch to epoch. */
  self(): ValidatorIndex | null;
  readonly lanes: Lanes;
  readonly pool: BundlePool;
  readonly ledger: Ledger;
  ownLane(): OwnLane | null;
  readonly outbox: Outbox;
  wallMs(): number;
  isSilent(): boolean;
  /** Tells the engine of bundles that are held. */
  feedBundles(refs: Extract<EngineEvent<never>, { readonly kind: "bundles" }>["refs"]): void;
  /** Own bundles that became durable. */
  onProposed(stored: StoredBundle): void;
  /** Two bundles of one creator for one place in its lane. */
  onFork(equivocation: Equivocation): void;
  /** One proof against a creator is enough. */
  isAccused(creator: ValidatorIndex): boolean;
}

/**
 * How bundles come in and go out: the own ones out of the own lane, peers' into pool and ledger, and to peers what they
 * lack ("bodies spread first, order comes second").
 */
export class BundleExchange {
  readonly #ports: BundleExchangePorts;

  constructor(ports: BundleExchangePorts) {
    this.#ports = ports;
  }

  /** Puts what clients gave this node into the turn that is about to close. */
  formOwn(): void {
    const { outbox } = this.#ports;
    const ownLane = this.#ports.ownLane();
    if (ownLane === null || this.#ports.isSilent()) return;
    for (let count = 0; count < BUNDLES_PER_TURN_MAX; count++) {
      const formed = ownLane.form(this.#ports.wallMs());
      if (formed === null) return;
      const leaf = statementDigest(this.#ports.network, bundleStatement(formed.held.ref));
      let stored: StoredBundle | null = null;
      outbox.say({
        lane: "dissemination",
        leaf,
        body: formed.body,
        to: "all",
        onSealed: (proof, writes) => {
          stored = { ...formed, proof };
          this.#ports.ledger.storeBundle(writes, stored);
        },
        onSent: () => this.#onOwnSent(present(stored, "a stored bundle")),
      });
    }
    if (ownLane.queued > 0) outbox.wake();
  }

  /** Whether a peer's bundle is of use: neither executed nor this node's own, and its creator has not too many waiting. */
  isWanted(bundle: Bundle): boolean {
    const { lanes, network, pool } = this.#ports;
    const { set } = network;
    if (!set.has(bundle.creator) || bundle.term !== set.termOf(bundle.creator)) return false;
    if (bundle.creator === this.#ports.self()) return false;
    if (bundle.firstNonce <= lanes.executed(bundle.creator).nonce) return this.#isFork(bundle);
    const { creator } = bundle;
    return pool.pendingOf(creator) < CREATOR_PENDING_MAX && pool.pendingBytesOf(creator) < CREATOR_PENDING_BYTES_MAX;
  }

  /** Verified bundles that peers sent. */
  take(bundles: readonly StoredBundle[]): void {
    const { lanes, network, pool, ledger, outbox } = this.#ports;
    // While they were verified the epoch may have ended, and what was next may have been executed.
    const { set } = network;
    const unknown = bundles.filter(({ held: { ref } }) => set.has(ref.creator) && !pool.has(ref.digest));
    for (const stored of unknown) this.#lookForFork(stored);
    const fresh = unknown.filter(({ held: { ref } }) => ref.firstNonce > lanes.executed(ref.creator).nonce);
    if (fresh.length === 0) return;
    for (const stored of fresh) {
      // In the same or an earlier turn than any vote that relies on it, so it is durable before the vote leaves.
      ledger.storeBundle(outbox.writes(), stored);
      pool.add(stored);
    }
    this.#ports.feedBundles(fresh.map(({ held }) => held.ref));
  }

  /** Bundles that were asked for, executed ones among them. */
  takeFetched(bundles: readonly StoredBundle[], source: "disk" | "peer"): void {
    const { pool, lanes, ledger, outbox } = this.#ports;
    for (const stored of bundles) {
      const { ref } = stored.held;
      if (source === "peer") this.#lookForFork(stored);
      if (source === "peer" && !pool.has(ref.digest)) ledger.storeBundle(outbox.writes(), stored);
      if (ref.firstNonce > lanes.executed(ref.creator).nonce) pool.add(stored);
      else pool.keepExecuted(stored);
    }
    this.#ports.feedBundles(bundles.map(({ held }) => held.ref));
  }

  /** Sends held bundles to a leader who seems not to have them. */
  offer(digests: readonly Hash[], to: ValidatorIndex): void {
    const found = digests.map((digest) => this.#ports.pool.get(digest)).filter((stored) => stored !== undefined);
    this.#relay(found, to);
  }

  /** A peer said which of this node's bundles it holds: it gets the next ones. */
  push(to: ValidatorIndex, lanes: readonly Nonce[]): void {
    const { pool } = this.#ports;
    const self = this.#ports.self();
    if (self === null) return;
    const missing = pool.waitingOf(self, (lanes[self] ?? 0) + 1);
    this.#relay(upToBytes(missing.slice(0, PUSHED_BUNDLES_MAX)), to);
  }

  /** The newest bundle that is held of a validator, with its creator's proof; null where there is none. */
  async newestOf(creator: ValidatorIndex): Promise<ProvenBody | null> {
    const { lanes, ledger, network, pool } = this.#ports;
    if (!network.set.knows(creator)) return null;
    let tip: LaneTip = lanes.executed(creator);
    let newest: BundleRef | undefined;
    for (let next = lanes.next(creator, tip); next !== undefined; next = lanes.next(creator, tip)) {
      tip = { nonce: (next.firstNonce + next.count - 1) as Nonce, tip: next.tip };
      newest = next;
    }
    const held = newest === undefined ? undefined : pool.get(newest.digest);
    return held ?? (await ledger.bundleUpTo(creator, network.set.termOf(creator), tip.nonce));
  }

  /** Up to which nonce each lane is held without a gap. */
  heldNonces(): readonly Nonce[] {
    const { lanes, network } = this.#ports;
    const self = this.#ports.self();
    const ownLane = this.#ports.ownLane();
    return network.set.roster.map((_, place) => {
      const creator = place as ValidatorIndex;
      if (creator === self && ownLane !== null) return ownLane.tip.nonce;
      let tip = lanes.executed(creator);
      for (let next = lanes.next(creator, tip); next !== undefined; next = lanes.next(creator, tip)) {
        tip = { nonce: (next.firstNonce + next.count - 1) as Nonce, tip: next.tip };
      }
      return tip.nonce;
    });
  }

  /** Whether another bundle is held for the same place: then this one is proof of a lie, and worth its check. */
  #isFork(bundle: Bundle): boolean {
    if (this.#ports.isAccused(bundle.creator)) return false;
    const held = this.#ports.pool.at(bundle.creator, bundle.firstNonce);
    return held !== undefined && holdBundle(this.#ports.network, bundle).ref.digest !== held.held.ref.digest;
  }

  #lookForFork(stored: StoredBundle): void {
    const { ref } = stored.held;
    const other = this.#ports.pool.at(ref.creator, ref.firstNonce);
    if (other === undefined || other.held.ref.digest === ref.digest || other.held.ref.term !== ref.term) return;
    this.#ports.onFork({
      first: { statement: bundleStatement(other.held.ref), proof: other.proof },
      second: { statement: bundleStatement(ref), proof: stored.proof },
    });
  }

  #onOwnSent(stored: StoredBundle): void {
    this.#ports.pool.add(stored);
    this.#ports.onProposed(stored);
    this.#ports.feedBundles([stored.held.ref]);
  }

  #relay(bundles: readonly StoredBundle[], to: ValidatorIndex): void {
    if (this.#ports.self() === null) return;
    const { epoch } = this.#ports.network.set;
    for (const { body, proof } of bundles) {
      this.#ports.outbox.tell("dissemination", to, { kind: "relayed", epoch, messages: [{ body, proof }] });
    }
  }
}

/** The longest head within the limit; at least one. */
function upToBytes(bundles: readonly StoredBundle[]): readonly StoredBundle[] {
  let bytes = 0;
  const end = bundles.findIndex(({ body }) => {
    bytes += body.length;
    return bytes > PUSHED_BYTES_MAX;
  });
  return end < 0 ? bundles : bundles.slice(0, Math.max(1, end));
}
