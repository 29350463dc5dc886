import type { DagArrival } from "../consensus/dag-engine.ts";
import { type Bundle, bundleStatement } from "../dag/bundle.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { DagLane } from "./dag-lane.ts";
import type { DagLedger } from "./dag-ledger.ts";
import type { DagOrder } from "./dag-order.ts";
import { conflictSetsOf, DagEntry, type DagPool } from "./dag-pool.ts";
import { type DagStanding, isSettled, OPEN_STANDING } from "./dag-rows.ts";
import type { StoredBundle } from "./ledger.ts";
import type { Outbox } from "./outbox.ts";
import type { Clock, Entropy } from "./ports.ts";
import { ANSWER_BODIES_MAX } from "./wire.ts";

/** Open vertices of one creator that a node takes without having asked; beyond, its bundles are left until they are named. */
const CREATOR_OPEN_MAX = 65_536;

/** And their bytes: a lying validator must not fill the others' memory. */
const CREATOR_OPEN_BYTES_MAX: number = 64 * 1024 * 1024;

/** Bundles for one place of a lane that are taken without having asked: two prove the fork, more are asked for if needed. */
const PLACE_BUNDLES_MAX = 2;

/** Bundles formed in one turn: 8 MiB of payload at the most. */
const BUNDLES_PER_TURN_MAX = 8;

/**
 * Own open bundles beyond which new ones are formed slowly, and at which none is: engines keep 1,024 of one creator. While
 * nothing is decided (a partition), what comes in gathers in few, large bundles.
 */
const OWN_OPEN_SLOW = 256;
const OWN_OPEN_MAX = 960;
const SLOW_INTERVAL_MS = 500;

/**
 * Validators above which a bundle that is seen for the first time is passed on. Below, its creator is connected to everybody
 * (`max_peers` is 50 unless set), and passing it on would only double the traffic.
 */
const RELAY_ABOVE_VALIDATORS = 50;

/**
 * In a network that is meshed as well as this node is connected, nine tenths of the validators and more get a bundle from its creator
 * itself, and the others by the queries that name it; passing everything on five times would be most of the traffic.
 */
const MESHED = { of: 10, atLeast: 9 } as const;

/** AV-GOSSIP: beside its creator's own connections, a bundle goes to so many random ones of each who gets it. */
const RELAY_PEERS = 5;

export interface DagExchangePorts {
  readonly network: NetworkContext;
  /** Null for an observer; it may change from epoch to epoch. */
  self(): ValidatorIndex | null;
  readonly ledger: DagLedger;
  readonly pool: DagPool;
  readonly order: DagOrder;
  dagLane(): DagLane | null;
  secondParent(): Hash;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Validators that are connected now. */
  connected(): readonly ValidatorIndex[];
  /** Whether the application finds a vertex's payload invalid for good, as every correct node does. */
  isInvalid(vertexPayload: Uint8Array, creator: ValidatorIndex): boolean;
  isSilent(): boolean;
  feed(arrivals: readonly DagArrival[]): void;
  onProposed(stored: StoredBundle): void;
  onFork(equivocation: Equivocation): void;
  isAccused(creator: ValidatorIndex): boolean;
  /** The disk failed. */
  onFailure(error: unknown): void;
}

/** How bundles of a leaderless network come in and go out. */
export class DagExchange {
  readonly #ports: DagExchangePorts;
  #slowUntilMs = 0;
  #isWaiting = false;
  /** Arrivals are looked up one after the other, so that parents come before children as they were sent. */
  #tail: Promise<void> = Promise.resolve();

  constructor(ports: DagExchangePorts) {
    this.#ports = ports;
  }

  /** Puts what clients gave this node into the turn that is about to close. */
  formOwn(): void {
    const { clock, network, outbox, ledger } = this.#ports;
    const lane = this.#ports.dagLane();
    const self = this.#ports.self();
    if (lane === null || self === null || lane.queued === 0 || this.#ports.isSilent()) return;
    for (let count = 0; count < BUNDLES_PER_TURN_MAX && this.#mayForm(self); count++) {
      const formed = lane.form(clock.nowMs(), this.#ports.secondParent());
      if (formed === null) return;
      let stored: StoredBundle | null = null;
      outbox.say({
        lane: "dissemination",
        leaf: statementDigest(network, bundleStatement(formed.held.ref)),
        body: formed.body,
        to: "all",
        onSealed: (proof, writes) => {
          stored = { ...formed, proof };
          ledger.store(writes, stored);
        },
        onSent: () => this.#onOwnSent(present(stored, "a stored bundle")),
      });
    }
    if (lane.queued > 0) this.#wakeLater(self);
  }

  /** Whether a bundle that nobody asked for is of use. `digest` is only computed where all else allows it. */
  isWanted(bundle: Bundle, digest: () => Hash): boolean {
    const { network, pool, order } = this.#ports;
    const { set } = network;
    const { creator, firstNonce, term } = bundle;
    if (!set.has(creator) || term !== set.termOf(creator) || creator === this.#ports.self()) return false;
    if (firstNonce <= order.laneOf(creator).nonce && pool.heldAt(creator, firstNonce) === 0) return false;
    if (pool.pendingOf(creator) >= CREATOR_OPEN_MAX || pool.pendingBytesOf(creator) >= CREATOR_OPEN_BYTES_MAX)
      return false;
    return pool.heldAt(creator, firstNonce) < PLACE_BUNDLES_MAX && !pool.has(digest());
  }

  /** Verified bundles that a peer sent by itself. Resolves when the engine has them. */
  async take(bundles: readonly StoredBundle[], sender: ValidatorIndex | null): Promise<void> {
    await this.#inTurn(async () => {
      const fresh = await this.#arrive(bundles);
      this.#passOn(fresh, sender);
    });
  }

  /** Bundles that were asked for, settled ones among them. Never rejects: `onFailure` learns it. */
  async takeFetched(bundles: readonly StoredBundle[]): Promise<void> {
    await this.#inTurn(async () => {
      await this.#arrive(bundles, true);
    });
  }

  /** Answers those that were new. */
  async #arrive(bundles: readonly StoredBundle[], wasAsked = false): Promise<readonly StoredBundle[]> {
    const { ledger, pool, outbox } = this.#ports;
    const unknown = bundles.filter(({ held }) => wasAsked || !pool.has(held.ref.digest));
    const looked: { readonly stored: StoredBundle; readonly onDisk: DagStanding | null; readonly entry: DagEntry }[] =
      [];
    for (const stored of unknown) {
      const onDisk = await ledger.standing(stored.held.ref.digest);
      const heights = await this.#parentHeights(stored);
      looked.push({ stored, onDisk, entry: new DagEntry(stored, onDisk ?? OPEN_STANDING, heights) });
    }
    const winners = await this.#winnersOnDisk(looked.map(({ entry }) => entry));
    // From here on nothing is awaited: what was decided meanwhile is in memory.
    const fresh: StoredBundle[] = [];
    const arrivals: DagArrival[] = [];
    for (const { stored, onDisk, entry } of looked) {
      const { digest } = stored.held.ref;
      const known = pool.get(digest);
      if (known === undefined) {
        if (onDisk !== null && isSettled(onDisk) && !wasAsked) continue;
        this.#lookForFork(stored);
        if (onDisk === null) {
          // In the same or an earlier turn than any vote that relies on it, so it is durable before the vote leaves.
          ledger.store(outbox.writes(), stored);
          fresh.push(stored);
        }
        pool.add(entry);
      } else if (!wasAsked) continue;
      arrivals.push(this.#arrivalOf(known ?? entry, winners));
    }
    if (arrivals.length > 0) this.#ports.feed(arrivals);
    return fresh;
  }

  #arrivalOf(entry: DagEntry, winners: ReadonlyMap<Hash, Hash>): DagArrival {
    const { held } = entry.stored;
    const { order } = this.#ports;
    const lost = held.vertexIds.flatMap((id, index) => {
      const state = entry.stateOf(index);
      if (state !== "open") return state === "rejected" ? [index] : [];
      const isSpent = (entry.sets.get(index) ?? []).some((set) => {
        const winner = order.winnerOf(set) ?? winners.get(set);
        return winner !== undefined && winner !== id;
      });
      const payload = held.bundle.payloads[index];
      return isSpent || (payload !== undefined && this.#ports.isInvalid(payload, held.ref.creator)) ? [index] : [];
    });
    const settled = entry.place === "open" ? null : entry.place;
    return { held, lost, settled };
  }

  async #winnersOnDisk(entries: readonly DagEntry[]): Promise<ReadonlyMap<Hash, Hash>> {
    const sets = [...new Set(entries.flatMap(({ sets: ofEntry }) => [...ofEntry.values()].flat()))];
    if (sets.length === 0) return new Map();
    const found = await this.#ports.ledger.winners(sets);
    return new Map(
      sets.flatMap((set, at): [Hash, Hash][] => {
        const winner = found[at];
        return winner === null || winner === undefined ? [] : [[set, winner]];
      }),
    );
  }

  /** Of parents that took their places; null for those that did not yet. */
  async #parentHeights({ held }: StoredBundle): Promise<readonly (number | null)[]> {
    const { ledger, network, pool } = this.#ports;
    const heights: (number | null)[] = [];
    for (const parent of held.bundle.parents) {
      if (parent === network.genesis) heights.push(0);
      else if (pool.byTip(parent) === undefined)
        heights.push(pool.heightOf(parent) ?? (await ledger.heightOfTip(parent)));
      else heights.push(pool.heightOf(parent));
    }
    return heights;
  }

  #lookForFork(stored: StoredBundle): void {
    const { ref } = stored.held;
    const { pool } = this.#ports;
    if (pool.heldAt(ref.creator, ref.firstNonce) === 0 || this.#ports.isAccused(ref.creator)) return;
    const other = pool.at(ref.creator, ref.firstNonce)?.stored;
    if (other === undefined || other.held.ref.digest === ref.digest || other.held.ref.term !== ref.term) return;
    this.#ports.onFork({
      first: { statement: bundleStatement(other.held.ref), proof: other.proof },
      second: { statement: bundleStatement(ref), proof: stored.proof },
    });
  }

  #onOwnSent(stored: StoredBundle): void {
    const entry = new DagEntry(stored, OPEN_STANDING, []);
    this.#ports.pool.add(entry);
    this.#ports.onProposed(stored);
    if (conflictSetsOf(stored).size === 0) {
      this.#ports.feed([this.#arrivalOf(entry, new Map())]);
      return;
    }
    void this.#inTurn(async () => {
      const winners = await this.#winnersOnDisk([entry]);
      this.#ports.feed([this.#arrivalOf(entry, winners)]);
    });
  }

  #passOn(bundles: readonly StoredBundle[], sender: ValidatorIndex | null): void {
    const { network, outbox } = this.#ports;
    const self = this.#ports.self();
    if (self === null || network.set.size <= RELAY_ABOVE_VALIDATORS) return;
    const connected = this.#ports.connected();
    if ((connected.length + 1) * MESHED.of >= network.set.size * MESHED.atLeast) return;
    for (let at = 0; at < bundles.length; at += ANSWER_BODIES_MAX) {
      const some = bundles.slice(at, at + ANSWER_BODIES_MAX);
      const creators = new Set(some.map(({ held }) => held.ref.creator));
      const others = connected.filter((peer) => peer !== self && peer !== sender && !creators.has(peer));
      const to = randomOf(this.#ports.entropy, others, RELAY_PEERS);
      if (to.length === 0) continue;
      const messages = some.map(({ body, proof }) => ({ body, proof }));
      outbox.tell("dissemination", to, { kind: "relayed", epoch: network.set.epoch, messages });
    }
  }

  #mayForm(self: ValidatorIndex): boolean {
    const open = this.#ports.pool.openBundlesOf(self);
    if (open < OWN_OPEN_SLOW) return true;
    const nowMs = this.#ports.clock.monotonicMs();
    if (open >= OWN_OPEN_MAX || nowMs < this.#slowUntilMs) return false;
    this.#slowUntilMs = nowMs + SLOW_INTERVAL_MS;
    return true;
  }

  #wakeLater(self: ValidatorIndex): void {
    const { clock, outbox, pool } = this.#ports;
    if (pool.openBundlesOf(self) < OWN_OPEN_SLOW) return outbox.wake();
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    clock.setTimer(clock.monotonicMs() + SLOW_INTERVAL_MS, () => {
      this.#isWaiting = false;
      outbox.wake();
    });
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    this.#tail = this.#tail.then(work).catch((error: unknown) => this.#ports.onFailure(error));
    await this.#tail;
  }
}

/** So many of these, drawn at random without replacement. */
function randomOf<T>(entropy: Entropy, items: readonly T[], count: number): readonly T[] {
  const left = [...items];
  const drawn: T[] = [];
  while (drawn.length < count && left.length > 0) {
    const bytes = entropy.bytes(4);
    const at = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) % left.length;
    drawn.push(...left.splice(at, 1));
  }
  return drawn;
}
