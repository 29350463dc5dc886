import type { NodeId } from "../crypto/identity.ts";
import { candidateFault } from "../membership/candidate.ts";
import { isConvicted, type MembershipEntry } from "../membership/membership-entry.ts";
import type { MembershipState } from "../membership/membership-state.ts";
import { activeOf, condemnedOf } from "../membership/rotation.ts";
import { type NetworkContext, VALIDATORS_MAX } from "../membership/validator-set.ts";
import { nameOf } from "./membership-view.ts";
import { NodeError, type ProposedChange } from "./service.ts";

export interface RefusalContext {
  readonly network: NetworkContext;
  /** With the validators of the genesis file, and their names. */
  readonly first: NetworkContext;
  readonly state: MembershipState;
  readonly self: NodeId;
}

/**
 * Why a change should not even be said, as things stand here; null where it may. The order decides in the end: between now
 * and its turn things may change. What would be ordered only to be ignored is refused while its operator still listens.
 */
export function changeRefusal(context: RefusalContext, change: ProposedChange): NodeError | null {
  if (change.kind === "admit") return admitRefusal(context, change.candidate);
  const subject = change.kind === "leave" ? context.self : change.nodeId;
  const entry = entryOf(context.state, subject);
  if (entry === null) {
    return new NodeError("unknown-validator", `no validator ${subject} is or was of this network: see the list`);
  }
  if (entry.standing === "standby" && change.kind === "dismiss") return null;
  if (entry.standing !== "active") return notApplicable(`validator ${subject} has no place to lose: ${entry.standing}`);
  const { condemned } = entry;
  if (condemned === "evidence" || condemned === "dismissed" || (condemned === "left" && change.kind === "leave")) {
    return notApplicable(`validator ${subject} goes already (${condemned}), as soon as the minimum allows it`);
  }
  return change.waitForSuccessor ? null : minimumRefusal(context.state, entry);
}

/**
 * The change as all operators say it, byte for byte, so that their words count together: of a node that was admitted
 * before, keys and name stay, whatever its operator calls it now; where it still is goes without saying.
 */
export function agreedChange({ state, addresses }: AgreedContext, change: ProposedChange): ProposedChange {
  if (change.kind !== "admit") return change;
  const { nodeId, address } = change.candidate;
  const entry = entryOf(state, nodeId);
  if (entry === null) return change;
  const { publicKeys, name } = entry;
  const isThere = address === "" || address === addresses.get(nodeId);
  return { kind: "admit", candidate: { nodeId, publicKeys, name, address: isThere ? entry.address : address } };
}

export interface AgreedContext {
  readonly state: MembershipState;
  /** Where the genesis file says that its validators are. */
  readonly addresses: ReadonlyMap<NodeId, string>;
}

function admitRefusal({ network, first, state }: RefusalContext, candidate: ProposedAdmission): NodeError | null {
  const fault = candidateFault(network, candidate);
  if (fault !== null) return new NodeError("malformed-candidate", `this candidate is none: ${fault}`);
  const entry = entryOf(state, candidate.nodeId);
  const { nodeId, name } = candidate;
  if (entry === null && state.entries.length >= VALIDATORS_MAX) {
    return notApplicable(`the roster has its ${VALIDATORS_MAX} validators, who stay in it for ever`);
  }
  if (entry !== null && isConvicted(entry)) {
    return notApplicable(`validator ${nodeId} is convicted: its key never comes back; make another with keygen`);
  }
  if (entry?.standing === "standby") return notApplicable(`validator ${nodeId} waits for a free place already`);
  if (entry?.standing === "active" && entry.condemned === null) {
    return notApplicable(`validator ${nodeId} is active already`);
  }
  const namesake = state.entries.find(
    (other) => other.nodeId !== nodeId && nameOf(first.set, other.nodeId, other.name) === name,
  );
  if (namesake === undefined || entry !== null) return null;
  const taken = `the name ${JSON.stringify(name)} is that of ${namesake.nodeId}: choose another`;
  return new NodeError("malformed-candidate", taken);
}

type ProposedAdmission = Extract<ProposedChange, { kind: "admit" }>["candidate"];

/** A removal takes effect at once only where enough sound validators stay, or wait for a place. */
function minimumRefusal(state: MembershipState, leaving: MembershipEntry): NodeError | null {
  const { min } = state.policy;
  const sound =
    activeOf(state.entries).length - condemnedOf(state.entries).length - (leaving.condemned === null ? 1 : 0);
  if (sound + state.queue.length >= min) return null;
  const wait = "or say that it may wait for a successor (--wait-for-successor)";
  return new NodeError("at-minimum", `the network would go below its minimum of ${min}: admit another first, ${wait}`);
}

function entryOf(state: MembershipState, nodeId: NodeId): MembershipEntry | null {
  return state.entries.find((entry) => entry.nodeId === nodeId) ?? null;
}

function notApplicable(reason: string): NodeError {
  return new NodeError("not-applicable", reason);
}
