import type { NodeId } from "../crypto/identity.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import type { Log, LoopObserver } from "./observer.ts";
import type { PeerGuard } from "./peer-guard.ts";
import { isTimestampDiscard, violationOfIgnored, violationOfRejected } from "./violations.ts";

/** Turns what the loop tells its observer into metrics, log lines, and violations of the peers that are to blame. */
export function observerOf(parts: {
  readonly metrics: Omit<LoopObserver, "log">;
  readonly log: Log;
  readonly guard: PeerGuard;
  readonly validators: () => ValidatorSet;
}): LoopObserver {
  const { metrics, log, guard, validators } = parts;
  return {
    ...metrics,
    log,
    onTrace: (trace) => {
      metrics.onTrace(trace);
      const { phase, view, sequence, detail, by } = trace;
      if (phase === "view-change" || phase === "new-view") log("info", `consensus.${phase}`, { view, sequence });
      else log("debug", `consensus.${phase}`, { view, sequence, detail });
      if (!isTimestampDiscard(phase, detail)) return;
      const set = validators();
      guard.onViolation(set.at(by ?? set.leaderOf(view)).nodeId, "timestamp", detail);
    },
    onIgnored: (peer, reason) => {
      metrics.onIgnored(peer, reason);
      blame(guard, peer, violationOfIgnored(reason), reason);
    },
    onRejected: (peer, reason) => {
      metrics.onRejected(peer, reason);
      const type = violationOfRejected(reason);
      // A violation has a log line of its own, whose rate is bounded.
      if (type === null) log("debug", "peer.rejected", { peer, reason });
      blame(guard, peer, type, reason);
    },
    onEquivocation: (equivocation) => {
      metrics.onEquivocation(equivocation);
      const { statement, proof } = equivocation.first;
      const { phase, view, sequence } = statement;
      const { signer } = proof.seal;
      log("error", "consensus.equivocation", { signer, phase, view, sequence });
      // Two signatures of its own prove it, whoever delivered them.
      const detail = `two digests for ${phase} in view ${view}, sequence ${sequence}`;
      guard.onViolation(validators().at(signer).nodeId, "equivocation", detail);
    },
  };
}

function blame(guard: PeerGuard, peer: NodeId, type: ReturnType<typeof violationOfRejected>, reason: string): void {
  if (type !== null) guard.onViolation(peer, type, reason);
}
