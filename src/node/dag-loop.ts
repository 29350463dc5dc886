import type { DagArrival, DagEffect, DagView } from "../consensus/dag-engine.ts";
import type { EngineEvent } from "../consensus/engine.ts";
import type { Bundle } from "../dag/bundle.ts";
import { present, unreachable } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { DagSources } from "./answers.ts";
import type { CatchUp, CatchUpPorts } from "./catch-up.ts";
import { DagExchange, type DagExchangePorts } from "./dag-exchange.ts";
import type { DagLedger } from "./dag-ledger.ts";
import type { DagOrder, DagOutcome } from "./dag-order.ts";
import type { DagPool } from "./dag-pool.ts";
import type { Epochs } from "./epochs.ts";
import { DagSync } from "./dag-sync.ts";
import type { StoredBundle } from "./ledger.ts";
import type { Outbox } from "./outbox.ts";
import type { Clock } from "./ports.ts";
import { encodeReport } from "./resolutions.ts";

/** What a node of a leaderless network has beside the log. */
export interface DagParts {
  readonly ledger: DagLedger;
  readonly pool: DagPool;
  readonly order: DagOrder;
  /** Whether the application finds a vertex's payload invalid for good, as every correct node does. */
  readonly isInvalid: DagExchangePorts["isInvalid"];
  /** Final and durable. */
  readonly onDecided: (outcomes: readonly DagOutcome[]) => void;
  readonly onPartition: (isPartitioned: boolean) => void;
}

export interface DagLoopPorts<M>
  extends Pick<
    DagExchangePorts,
    "entropy" | "connected" | "isSilent" | "onProposed" | "onFork" | "isAccused" | "onFailure"
  > {
  readonly parts: DagParts;
  readonly epochs: Epochs<M>;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly catchUp: CatchUp<M>;
  feed(event: EngineEvent<M>): void;
  now(): { readonly nowMs: number; readonly wallMs: number };
  background(work: Promise<void>): void;
}

/** What the loop does for an engine that decides vertices without a leader. */
export class DagLoop<M> {
  readonly #ports: DagLoopPorts<M>;
  readonly #exchange: DagExchange;
  readonly #sync: DagSync<M>;

  constructor(ports: DagLoopPorts<M>) {
    this.#ports = ports;
    const { parts, epochs } = ports;
    this.#exchange = new DagExchange({
      ...ports,
      ...parts,
      network: epochs.network,
      self: () => epochs.self,
      dagLane: () => epochs.dagLane,
      secondParent: () => this.#view().secondParent(ports.now().nowMs),
      feed: (bundles: readonly DagArrival[]) => ports.feed({ kind: "dag-bundles", ...ports.now(), bundles }),
    });
    this.#sync = new DagSync<M>({
      ...ports,
      onBundles: (bundles) => this.#exchange.takeFetched(bundles),
    });
  }

  perform(effect: DagEffect): void {
    const { parts, catchUp, background } = this.#ports;
    switch (effect.kind) {
      case "decide":
        return this.#decide(effect);
      case "fetch-vertices":
        return background(catchUp.fetchVertices(effect.tips, effect.from));
      case "dag-sync":
        return background(this.#sync.ask(effect.from, effect.isForEpoch));
      case "report":
        return this.#report(effect);
      case "partition":
        return parts.onPartition(effect.isPartitioned);
      default:
        return unreachable(effect);
    }
  }

  formOwn(): void {
    this.#exchange.formOwn();
  }

  isWanted(bundle: Bundle, digest: () => Hash): boolean {
    return this.#exchange.isWanted(bundle, digest);
  }

  async take(bundles: readonly StoredBundle[], sender: ValidatorIndex | null): Promise<void> {
    await this.#exchange.take(bundles, sender);
  }

  async takeFetched(bundles: readonly StoredBundle[]): Promise<void> {
    await this.#exchange.takeFetched(bundles);
  }

  /** What a peer's questions are answered from. */
  sources(): DagSources {
    const { parts, outbox, epochs } = this.#ports;
    return {
      ...parts,
      newestOf: async (validator) => {
        if (!epochs.network.set.knows(validator)) return null;
        const newest = await parts.ledger.lastOf(validator);
        return newest === null ? null : { body: newest.body, proof: newest.proof };
      },
      claimOf: (bundle, isForEpoch) => this.#view().claimOf(bundle, isForEpoch),
      passed: () => this.#view().passed(),
      whenDurable: () =>
        new Promise((resolve) => {
          outbox.whenDurable(resolve);
        }),
    };
  }

  /** The open conflict goes into this node's ordered lane, for the log to decide. */
  #report(report: Extract<DagEffect, { readonly kind: "report" }>): void {
    const { epochs, parts, outbox } = this.#ports;
    const { epoch } = epochs.network.set;
    const encoded = encodeReport(epoch, report, (digest) => parts.pool.get(digest)?.stored.held);
    if (encoded !== null && epochs.ownLane?.report(encoded) === true) outbox.wake();
  }

  #decide({ decisions }: Extract<DagEffect, { readonly kind: "decide" }>): void {
    const { parts, outbox, epochs, clock } = this.#ports;
    const outcomes = parts.order.decide(outbox.writes(), decisions);
    const { dagLane, self } = epochs;
    for (const { stored, place } of outcomes) {
      const { held } = stored;
      if (dagLane === null || held.ref.creator !== self) continue;
      if (place === "accepted") dagLane.onPlaced(held);
      if (place === "rejected") this.#issueAgain(stored, clock.monotonicMs());
    }
    if (dagLane !== null && dagLane.queued > 0) outbox.wake();
    outbox.whenDurable(() => parts.onDecided(outcomes));
  }

  /** The payloads of an own bundle that came to nothing; not those that lost to others for good. */
  #issueAgain({ held }: StoredBundle, nowMs: number): void {
    const { parts, epochs } = this.#ports;
    const entry = present(parts.pool.get(held.ref.digest), "a bundle that was just decided");
    const lost = new Set<number>();
    for (const [index, sets] of entry.sets) {
      const id = held.vertexIds[index];
      const isLost = sets.some((set) => {
        const winner = parts.order.winnerOf(set);
        return winner !== undefined && winner !== id;
      });
      if (isLost) lost.add(index);
    }
    epochs.dagLane?.onPlaceRejected(held, lost, nowMs);
  }

  #view(): DagView {
    return present(this.#ports.epochs.engine.dag, "the view of a leaderless engine");
  }
}

/** Where who fetches looks first; nowhere in a network that orders everything. */
export function lookUpIn(dag: Pick<DagParts, "pool" | "ledger"> | null): Pick<CatchUpPorts<unknown>, "findInDag"> {
  return {
    findInDag: async (name, by) => {
      if (dag === null) return null;
      const { pool, ledger } = dag;
      const entry = by === "tip" ? pool.byTip(name) : pool.get(name);
      return entry?.stored ?? (await (by === "tip" ? ledger.byTip(name) : ledger.bundle(name)));
    },
  };
}
