import type { NodeId } from "../crypto/identity.ts";
import type { Sequence, ValidatorIndex } from "../membership/ids.ts";
import { subjectOf } from "../membership/approvals.ts";
import type { MembershipState } from "../membership/membership-state.ts";
import { faultTolerance, quorumSize } from "../membership/quorum.ts";
import { activeOf } from "../membership/rotation.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import type { MembershipView, MemberView, PendingView, ValidatorView } from "./service.ts";

/** The ordered membership, and the batch after which its epoch began. */
export interface OrderedMembership {
  readonly state: MembershipState;
  readonly epochBase: Sequence;
}

/** What a node knows of validators beside the order: the genesis file names its own, the order the later ones. */
export interface LocalKnowledge {
  readonly self: NodeId;
  /** The validators of the genesis file. */
  readonly first: ValidatorSet;
  /** Where the genesis file says that its validators are. */
  readonly addresses: ReadonlyMap<NodeId, string>;
}

export function membershipView(ordered: OrderedMembership, local: LocalKnowledge): MembershipView {
  const { state, epochBase } = ordered;
  const active = activeOf(state.entries).length;
  return {
    epoch: state.epoch,
    afterBatch: epochBase,
    policy: state.policy,
    active,
    faultTolerance: faultTolerance(active),
    quorum: quorumSize(active),
    members: state.entries.map((entry, index): MemberView => {
      const { nodeId, standing, condemned, reputationPpm, activeSinceEpoch, lastActiveEpoch } = entry;
      const place = state.queue.indexOf(index as ValidatorIndex);
      return {
        index,
        nodeId,
        name: nameOf(local.first, nodeId, entry.name),
        address: entry.address === "" ? (local.addresses.get(nodeId) ?? "") : entry.address,
        standing,
        condemned,
        reputationPpm,
        activeSinceEpoch,
        lastActiveEpoch,
        waiting: place < 0 ? null : place + 1,
        isSelf: nodeId === local.self,
      };
    }),
    pending: pendingViews(state, local, quorumSize(active)),
  };
}

/** The active validators, as this node is connected to them. */
export function validatorViews(
  set: ValidatorSet,
  local: LocalKnowledge,
  now: { readonly leader: ValidatorIndex; readonly connected: ReadonlySet<NodeId> },
): readonly ValidatorView[] {
  return set.indices().map((index) => {
    const { nodeId, name } = set.at(index);
    const isSelf = nodeId === local.self;
    return {
      index,
      nodeId,
      name: nameOf(local.first, nodeId, name),
      isLeader: index === now.leader,
      isSelf,
      connected: isSelf || now.connected.has(nodeId),
    };
  });
}

function pendingViews(state: MembershipState, local: LocalKnowledge, needed: number): readonly PendingView[] {
  return state.approvals.map(({ change, approvals }): PendingView => {
    const nodeId = subjectOf(change);
    const known = state.entries.find((entry) => entry.nodeId === nodeId);
    const { name, address } = change.kind === "admit" ? change.candidate : { name: known?.name ?? "", address: "" };
    return {
      kind: change.kind,
      nodeId,
      name: nameOf(local.first, nodeId, name),
      address,
      approvals: approvals.flatMap(({ validator }) => state.entries[validator]?.nodeId ?? []),
      needed,
    };
  });
}

/** What people call a node: the operator's genesis file names the first validators. */
export function nameOf(first: ValidatorSet, nodeId: NodeId, ordered: string): string {
  const place = first.placeOf(nodeId);
  return place === null ? ordered : first.at(place).name;
}
