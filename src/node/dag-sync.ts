import type { DagClaim } from "../consensus/dag-engine.ts";
import type { EngineEvent } from "../consensus/engine.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { CatchUp } from "./catch-up.ts";
import type { Epochs } from "./epochs.ts";
import type { StoredBundle } from "./ledger.ts";
import type { DagAnswer } from "./wire.ts";

export interface DagSyncPorts<M> {
  readonly epochs: Epochs<M>;
  readonly catchUp: CatchUp<M>;
  /** Resolves when the engine has them. */
  onBundles(bundles: readonly StoredBundle[]): Promise<void>;
  feed(event: EngineEvent<M>): void;
  now(): { readonly nowMs: number; readonly wallMs: number };
}

/**
 * Asks validators what lies above this node's frontier, page by page, and hands the engine first the bundles, then what was
 * said of them: the exchange by frontiers (document 2: what is missing, not everything).
 */
export class DagSync<M> {
  readonly #ports: DagSyncPorts<M>;

  constructor(ports: DagSyncPorts<M>) {
    this.#ports = ports;
  }

  /** Ends with the last `dag-claims`, or with `dag-sync-failed`. */
  async ask(from: ValidatorIndex, isForEpoch: boolean): Promise<void> {
    const { epochs, catchUp, feed, now } = this.#ports;
    const { engine } = epochs;
    const above = [...(engine.dag?.frontier() ?? [])];
    let start = 0 as ValidatorIndex;
    for (;;) {
      const answer = await catchUp.askDag(from, { above, start, isForEpoch });
      const bundles = answer === null ? null : await catchUp.openAll(answer.items.map(({ bundle }) => bundle));
      if (engine !== epochs.engine) return;
      if (answer === null || bundles === null || !isProgress(bundles, { above, start }, answer)) {
        if (answer !== null) catchUp.reject(from, "malformed-answer: about the DAG");
        return feed({ kind: "dag-sync-failed", ...now(), from });
      }
      await this.#ports.onBundles(bundles);
      const claims = await this.#claimsOf(answer, bundles);
      // An engine of another epoch asks for itself.
      if (engine !== epochs.engine) return;
      const { epoch, passed, isLast } = answer;
      feed({ kind: "dag-claims", ...now(), from, epoch, passed, claims, isLast });
      const last = bundles.at(-1);
      if (answer.isLast || last === undefined) return;
      start = last.held.ref.creator;
      above[start] = last.held.ref.firstNonce;
    }
  }

  /** What was said of each bundle; of certificates only those votes that hold are passed on. */
  async #claimsOf({ items }: DagAnswer, bundles: readonly StoredBundle[]): Promise<readonly DagClaim[]> {
    const { catchUp } = this.#ports;
    const claims = bundles.map(async ({ held }, at): Promise<DagClaim[]> => {
      const item = items[at];
      if (item === undefined) return [];
      const { state, undecided, rejected } = item;
      const certified = await Promise.all(item.certified.map((each) => catchUp.withProof(each)));
      return [{ bundle: held.ref.digest, state, undecided, rejected, certified }];
    });
    return (await Promise.all(claims)).flat();
  }
}

/** Each page lies behind the one before, in order, so that no answer makes this node ask for ever. */
function isProgress(
  bundles: readonly StoredBundle[],
  asked: { readonly above: readonly Nonce[]; readonly start: ValidatorIndex },
  { isLast }: DagAnswer,
): boolean {
  let { start: creator } = asked;
  let nonce: number = asked.above[creator] ?? 0;
  for (const [at, { held }] of bundles.entries()) {
    const { ref } = held;
    if (ref.creator < creator || ref.purpose !== "dag") return false;
    if (ref.creator > creator) {
      creator = ref.creator;
      nonce = asked.above[creator] ?? 0;
    }
    // Bundles of one place stand side by side: a fork.
    const isFork = bundles[at - 1]?.held.ref.firstNonce === ref.firstNonce;
    if (ref.firstNonce < nonce || (ref.firstNonce === nonce && !isFork)) return false;
    nonce = ref.firstNonce;
  }
  return isLast || bundles.length > 0;
}
