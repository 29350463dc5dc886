import type { BundleNode, Parent } from "./bundle-node.ts";
import { type ConflictSet, idOf, type Member, sameMember } from "./conflict-set.ts";
import type { Participant } from "./participant.ts";

/**
 * What this node prefers at the moment: of each conflict set one member, and of the DAG what is preferred with all its
 * ancestry (arXiv 1906.08936, §3: strongly preferred). Only this is told to polls.
 */

/** Whether a unit is what this node prefers in all its sets. Ancestry is another question: `BundleNode.isStrong`. */
export function isPreferred(p: Participant, { node, vertex }: Member): boolean {
  if (node.place === "rejected" || (vertex !== null && node.rejected.has(vertex))) return false;
  const sets = node.setsOf(vertex);
  for (const id of sets) {
    const set = p.graph.sets.get(id);
    if (set !== undefined && !set.prefers({ node, vertex })) return false;
  }
  return true;
}

/** Joins a bundle's place and vertices to their conflict sets. Answers the vertices that are contested by it, anywhere. */
export function joinSets(p: Participant, node: BundleNode): void {
  join(p, { node, vertex: null });
  for (const vertex of node.sets.keys()) if (node.isOpen(vertex)) join(p, { node, vertex });
  refreshStrength(p, node);
}

function join(p: Participant, member: Member): void {
  for (const set of p.graph.setsOf(member)) {
    const before = set.preferred;
    set.add(member);
    if (!set.isContested) continue;
    // Those that were there before are contested since the second one came.
    const fresh = set.members.length === 2 ? set.members : [member];
    for (const { node, vertex } of fresh) if (vertex !== null) node.contest(vertex);
    if (member.vertex === null && !sameMember(before, set.preferred)) refreshSet(p, set, before);
  }
}

export function setPreference(p: Participant, set: ConflictSet, member: Member): void {
  if (sameMember(set.preferred, member)) return;
  const before = set.preferred;
  set.preferred = member;
  before?.node.snowOf(before.vertex).reset();
  if (member.vertex === null) refreshSet(p, set, before);
  p.trace("discard", `set ${set.id} now prefers ${idOf(member)}`);
}

/** The preference among a creator's branches changed: what builds on them is preferred, or is not any more. */
export function refreshSet(p: Participant, set: ConflictSet, before: Member | null): void {
  const nodes = new Set(set.members.map(({ node }) => node));
  if (before !== null) nodes.add(before.node);
  for (const node of nodes) refreshStrength(p, node);
}

function refreshStrength(p: Participant, first: BundleNode): void {
  const waiting: BundleNode[] = [first];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const isStrong =
      node.place !== "rejected" &&
      isPreferred(p, { node, vertex: null }) &&
      isStrongParent(node.previous) &&
      isStrongParent(node.second);
    if (isStrong === node.isStrong && node !== first) continue;
    node.isStrong = isStrong;
    waiting.push(...node.children);
  }
}

function isStrongParent(parent: Parent): boolean {
  return parent === "past" || parent.isStrong;
}
