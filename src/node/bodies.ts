import type { Bundle } from "../dag/bundle.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { BundleExchange } from "./bundle-exchange.ts";
import type { DagLoop } from "./dag-loop.ts";
import type { StoredBundle } from "./ledger.ts";

/** Bundles go by their purpose: those that the log orders to one exchange, those of the DAG to the other. */
export class Bodies<M> {
  readonly #log: BundleExchange;
  readonly #dag: () => DagLoop<M> | null;

  /** `dag` answers null in a network that orders everything. */
  constructor(log: BundleExchange, dag: () => DagLoop<M> | null) {
    this.#log = log;
    this.#dag = dag;
  }

  /** Puts what is to be said into the turn that is about to close. */
  formOwn(): void {
    this.#log.formOwn();
    this.#dag()?.formOwn();
  }

  isWanted(bundle: Bundle, digest: () => Hash): boolean {
    return bundle.purpose === "dag" ? this.#dag()?.isWanted(bundle, digest) === true : this.#log.isWanted(bundle);
  }

  /** Verified bundles that a peer sent by itself. */
  async take(bundles: readonly StoredBundle[], sender: ValidatorIndex | null): Promise<void> {
    const { ofLog, ofDag } = byLane(bundles);
    this.#log.take(ofLog);
    if (ofDag.length > 0) await this.#dag()?.take(ofDag, sender);
  }

  /** Bundles that were asked for. */
  takeFetched(bundles: readonly StoredBundle[], source: "disk" | "peer"): void {
    const { ofLog, ofDag } = byLane(bundles);
    if (ofLog.length > 0) this.#log.takeFetched(ofLog, source);
    if (ofDag.length > 0) void this.#dag()?.takeFetched(ofDag);
  }
}

function byLane(bundles: readonly StoredBundle[]): {
  readonly ofLog: readonly StoredBundle[];
  readonly ofDag: readonly StoredBundle[];
} {
  const ofDag = bundles.filter(({ held }) => held.ref.purpose === "dag");
  return { ofDag, ofLog: ofDag.length === 0 ? bundles : bundles.filter(({ held }) => held.ref.purpose !== "dag") };
}
