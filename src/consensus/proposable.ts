import type { Batch } from "../dag/batch.ts";
import type { BundleRef } from "../dag/bundle.ts";
import type { Lanes, LaneTip } from "../dag/lanes.ts";
import { BATCH_BUNDLES_MAX } from "../dag/limits.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";

/** The most vertices in one proposal: what one place of the log makes a client wait for. */
const PROPOSAL_VERTICES_MAX = 16_384;

/** Takes bundles in turn from every lane, each following what is executed or in `open`: the batches that will be, in order. */
export function takeProposable(lanes: Lanes, set: ValidatorSet, open: readonly Batch[]): readonly Hash[] {
  const tips = openTips(lanes, open);
  const digests: Hash[] = [];
  let vertices = 0;
  let took = true;
  while (took) {
    took = false;
    for (const creator of set.indices()) {
      if (digests.length >= BATCH_BUNDLES_MAX || vertices >= PROPOSAL_VERTICES_MAX) return digests;
      const next = lanes.next(creator, present(tips[creator], `lane ${creator}`));
      if (next === undefined) continue;
      tips[creator] = tipAfter(next);
      digests.push(next.digest);
      vertices += next.count;
      took = true;
    }
  }
  return digests;
}

/** Where each lane will stand when every open batch has been executed: the rule is execution's own. */
function openTips(lanes: Lanes, open: readonly Batch[]): LaneTip[] {
  const tips = [...lanes.executedTips()];
  for (const bundle of open.flatMap(({ bundles }) => bundles)) {
    const ref = lanes.get(bundle);
    if (ref === undefined) continue;
    const tip = present(tips[ref.creator], `lane ${ref.creator}`);
    if (ref.firstNonce === tip.nonce + 1 && ref.previous === tip.tip) tips[ref.creator] = tipAfter(ref);
  }
  return tips;
}

function tipAfter(ref: BundleRef): LaneTip {
  return { nonce: (ref.firstNonce + ref.count - 1) as LaneTip["nonce"], tip: ref.tip };
}
