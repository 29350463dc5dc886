import type { NodeId } from "../crypto/identity.ts";
import { type Envelope, openEnvelope } from "../dag/conflict-keys.ts";
import { compareBytes } from "../lib/bytes.ts";
import type { Hash } from "../lib/hash.ts";

/** What became of one final payload. */
export type Applied =
  /** It took effect, now. */
  | { readonly kind: "applied" }
  /** It takes effect when something else has: until then the state is as without it. */
  | { readonly kind: "waiting"; readonly reason: string }
  /** It never takes effect. */
  | { readonly kind: "rejected"; readonly reason: string };

/** What a payload must declare; or why nobody could accept it, whatever the state. */
export type Claim = { readonly keys: readonly Uint8Array[] } | { readonly fault: string };

/**
 * A deterministic state machine whose commands commute, except for those that share a conflict key. Of such, a leaderless
 * network accepts one at most; the state is then a function of the set of what was applied, not of its order. An engine
 * that orders everything can drive it too. One that needs the order itself will extend this with positions.
 */
export interface CommutativeApplication {
  /** As the genesis names it. */
  readonly name: string;
  /** Pure: depends on nothing but payload and creator, so that all validators judge a vertex alike. */
  claimOf(payload: Uint8Array, creator: NodeId): Claim;
  /** For final payloads only, each once. What has a fault is rejected. */
  apply(payload: Uint8Array, creator: NodeId): Applied;
  /** Equal at all nodes that applied the same payloads. */
  stateDigest(): Hash;
}

/**
 * Why no validator of a leaderless network votes for a vertex with this payload; null where it may. The keys must be those
 * of the application: a transfer that hid its key would be spent twice, one that added another's would block that one.
 * @param application null for the log, whose payloads are opaque: any keys are fine
 */
export function envelopeFault(
  application: Pick<CommutativeApplication, "claimOf"> | null,
  vertexPayload: Uint8Array,
  creator: NodeId,
): string | null {
  const envelope = openEnvelope(vertexPayload);
  if (envelope === null) return "the payload is no envelope in its canonical form";
  if (application === null) return null;
  const claim = application.claimOf(envelope.payload, creator);
  if ("fault" in claim) return claim.fault;
  return declares(envelope, claim.keys) ? null : "the declared conflict keys are not those of the payload";
}

/** Both in ascending order without repetition; the envelope's are, once it was opened. */
function declares({ conflictKeys }: Envelope, keys: readonly Uint8Array[]): boolean {
  const wanted = [...keys].sort(compareBytes);
  return (
    wanted.length === conflictKeys.length &&
    wanted.every((key, at) => compareBytes(key, conflictKeys[at] ?? new Uint8Array(0)) === 0)
  );
}
