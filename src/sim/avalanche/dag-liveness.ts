import { forkSetOf } from "../../dag/conflict-keys.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import type { Unit } from "../../dag/unit.ts";
import type { Hash } from "../../lib/hash.ts";
import type { DagChecker } from "./dag-checker.ts";
import type { DagCluster } from "./dag-cluster.ts";
import type { DagMember } from "./dag-member.ts";

/**
 * What a correct member still waits for though it could be decided: a bundle that it holds, or that another one accepted,
 * whose whole ancestry is with correct members. Null where nothing is.
 */
export function whatIsOpen(cluster: DagCluster, checker: DagChecker): string | null {
  const members = cluster.correct.filter(({ isDown }) => !isDown);
  // What reached nobody but one who left the set has no voice left: its client submits it again elsewhere.
  const reachable = reachableOf(
    cluster,
    members.filter(({ index }) => cluster.network.set.has(index)),
  );
  for (const member of members) {
    for (const held of reachable.values()) {
      const { digest } = held.ref;
      const isAccepted = checker.fateOf({ bundle: digest, vertex: null }) === "accepted";
      const isKnown = member.network.set.knows(held.ref.creator);
      if (!isKnown || (member.get(digest) === undefined && !isAccepted)) continue;
      const open = openOf(member, held);
      if (open !== null) return `member ${member.index}, bundle ${digest} of ${held.ref.creator}: ${open}`;
    }
  }
  return null;
}

function openOf(member: DagMember, { ref }: HeldBundle): string | null {
  const place = member.placeOf(ref.digest);
  if (place === "rejected") return null;
  if (place === "open") return member.get(ref.digest) === undefined ? "it is not here" : "its place is open";
  for (let vertex = 0; vertex < ref.count; vertex++) {
    const isDecided = member.isAccepted(ref.digest, vertex) || member.isRejected(ref.digest, vertex);
    if (!isDecided) return `vertex ${vertex} is open`;
  }
  return null;
}

/** Bundles that correct members hold with all their ancestry, among all of them. */
function reachableOf(cluster: DagCluster, members: readonly DagMember[]): ReadonlyMap<Hash, HeldBundle> {
  const byTip = new Map<Hash, HeldBundle>();
  for (const member of members) for (const held of member.held) byTip.set(held.ref.tip, held);
  const reachable = new Map<Hash, HeldBundle>();
  const left = new Set(byTip.values());
  const isThere = (tip: Hash): boolean => {
    return tip === cluster.network.genesis || reachable.has(byTip.get(tip)?.ref.digest ?? tip);
  };
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const held of left) {
      if (!held.bundle.parents.every(isThere)) continue;
      left.delete(held);
      reachable.set(held.ref.digest, held);
    }
  }
  return reachable;
}

/** What lost though nothing stood against it, when everything is decided. Null where nothing did. */
export function whatWasLost(checker: DagChecker, genesis: Hash): string | null {
  const { facts } = checker;
  const fateOf = (unit: Unit): "accepted" | "rejected" | null => checker.fateOf(unit);
  for (const { ref, bundle } of facts.bundles) {
    const { digest } = ref;
    const place = fateOf({ bundle: digest, vertex: null });
    if (place === null) continue;
    if (place === "rejected") {
      // A parent that reached nobody correct is a liar's own: no virtuous bundle has one.
      const isHealthy = bundle.parents.every((tip) => {
        const parent = facts.byTip(tip)?.ref.digest;
        return tip === genesis || (parent !== undefined && fateOf({ bundle: parent, vertex: null }) === "accepted");
      });
      const isForked = facts.membersOf(forkSetOf(ref)).length > 1;
      if (isHealthy && !isForked) return `bundle ${digest} is virtuous, but was rejected`;
      continue;
    }
    for (const unit of facts.vertices(digest)) {
      const sets = facts.setsOf(unit);
      if (fateOf(unit) === "accepted") continue;
      if (sets.every((set) => facts.membersOf(set).length === 1))
        return `vertex ${unit.vertex} of ${digest} is virtuous, but lost`;
      const [only] = sets;
      if (
        sets.length === 1 &&
        only !== undefined &&
        checker.winnerOf(only) === null &&
        !checker.isBurnt(only) &&
        !checker.isRuledOut(unit)
      )
        return `vertex ${unit.vertex} of ${digest} lost, but nobody won set ${only}`;
    }
  }
  return null;
}
