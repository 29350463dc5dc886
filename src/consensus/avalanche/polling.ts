import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { BundleNode } from "./bundle-node.ts";
import type { Member } from "./conflict-set.ts";
import { DISSENTS_MAX, DISSENTS_OF_LANE_MAX, POLL_GAP_MS, PROBE_MS, QUERIED_LANES_MAX, WALK_MAX } from "./limits.ts";
import type { Answer, Dissent, Query } from "./messages.ts";
import type { Participant } from "./participant.ts";
import { type Chain, chainsOf, Poll } from "./poll.ts";
import { isPreferred, setPreference } from "./preferring.ts";
import { sample } from "./sampler.ts";
import { maybeAccept } from "./voting.ts";

/**
 * Repeated sampling: Snowball for each conflict set, with votes that count for the ancestry (arXiv 1906.08936, fig. 3 and 4).
 * A new poll begins as soon as an earlier one's outcome is fixed; so many run at a time.
 */

/** Begins a poll where one may begin and something is open; else sees to it that the time for it comes. */
export function maybePoll(p: Participant): void {
  if (p.self === null) return;
  const dueMs = nextPollMs(p);
  const chains = dueMs === null || dueMs > p.nowMs ? null : openChains(p);
  if (chains !== null && chains.length > 0) begin(p, chains);
  const nextMs = nextPollMs(p);
  let timeMs = Number.POSITIVE_INFINITY;
  for (const { deadlineMs } of p.polls.values()) timeMs = Math.min(timeMs, deadlineMs);
  // Looking for open bundles is what this costs: not where it cannot change the timer.
  const dueAtMs = nextMs === null ? Number.POSITIVE_INFINITY : Math.max(nextMs, p.nowMs);
  if (dueAtMs < timeMs && hasOpen(p)) timeMs = dueAtMs;
  if (timeMs === Number.POSITIVE_INFINITY) p.cancelTimer("poll");
  else p.setTimer("poll", timeMs);
}

/** From when on a further poll may begin; null while enough are under way. */
function nextPollMs(p: Participant): number | null {
  const { isPartitioned } = p.health;
  let underWay = 0;
  for (const { isClosed } of p.polls.values()) if (!isClosed) underWay += 1;
  if (underWay >= (isPartitioned ? 1 : p.params.concurrentPolls)) return null;
  return p.lastPollMs + (isPartitioned ? PROBE_MS : POLL_GAP_MS);
}

function hasOpen(p: Participant): boolean {
  for (const creator of p.graph.creators()) {
    const lane = p.graph.openOf(creator);
    // The newest are the ones without a vote.
    for (let at = lane.length - 1; at >= 0; at--) if (isPolled(p, lane[at])) return true;
  }
  return false;
}

/** What has this node's vote needs no poll; but in a partition polls are what tells that it is over. */
function isPolled({ health }: Participant, node: BundleNode | undefined): boolean {
  return node !== undefined && (!node.isVoted || (health.isPartitioned && !node.isSettled));
}

function openChains(p: Participant): readonly Chain[] {
  const chains: Chain[] = [];
  for (const creator of p.graph.creators()) {
    chains.push(...chainsOf(p.graph.openOf(creator).filter((node) => isPolled(p, node))));
  }
  if (chains.length <= QUERIED_LANES_MAX) return chains;
  // Only forks make more chains than validators: each poll takes others of them.
  const start = p.random.below(chains.length);
  return [...chains.slice(start), ...chains.slice(0, start)].slice(0, QUERIED_LANES_MAX);
}

function begin(p: Participant, chains: readonly Chain[]): void {
  const { params, nowMs } = p;
  const others = p.others();
  const asksAll = params.sampleSize >= p.set.size;
  const sampled = asksAll ? others : sample(others, params.sampleSize, p.random);
  const asked = sampled.filter((peer) => !p.health.isBackedOff(peer, nowMs) && !p.avoids(peer));
  const deadlineMs = nowMs + params.queryTimeoutMs;
  const poll = new Poll({ id: p.nextPoll++, chains, sampled, asked, nowMs, deadlineMs });
  p.polls.set(poll.id, poll);
  p.lastPollMs = nowMs;
  const query = poll.query();
  if (asksAll) poll.count(preferencesOf(p, query.lanes, null), (digest) => p.nodeOf(digest));
  if (asked.length > 0) p.emit({ kind: "multicast", to: asked, message: query });
  p.trace("poll", `${poll.id} about ${chains.length} lanes asks ${asked.length}`);
  maybeClose(p, poll);
  // Alone, or with nobody to be asked now, there is no answer to wait for.
  if (asked.length === 0) end(p, poll, 0);
}

/** Answers with what this node prefers at the moment. */
export function onQuery(p: Participant, from: ValidatorIndex, query: Query): void {
  if (p.self === null) return;
  const { heads, dissents } = preferencesOf(p, query.lanes, from);
  p.emit({ kind: "send", to: from, message: { kind: "answer", to: from, poll: query.poll, heads, dissents } });
}

function preferencesOf(
  p: Participant,
  lanes: Query["lanes"],
  from: ValidatorIndex | null,
): Pick<Answer, "heads" | "dissents"> {
  const dissents: Dissent[] = [];
  const walk = { left: WALK_MAX };
  const heads = lanes.map((lane) => {
    let isBehindStrong = false;
    // A vote whose dissents find no room would be one for what this node does not prefer: then an older head gets it, or none.
    for (const [head, digest] of lane.entries()) {
      const node = p.nodeOf(digest);
      isBehindStrong ||= isStrong(p, digest, node, from);
      if (!isBehindStrong) continue;
      if (node === undefined || p.graph.isPlainLane(node.creator)) return head;
      const max = Math.min(DISSENTS_OF_LANE_MAX, DISSENTS_MAX - dissents.length);
      const found = dissentsOf(p, node, lane.at(-1), { max, walk });
      if (found === null) continue;
      dissents.push(...found);
      return head;
    }
    return lane.length;
  });
  return { heads, dissents };
}

function isStrong(p: Participant, digest: Hash, node: BundleNode | undefined, from: ValidatorIndex | null): boolean {
  if (node !== undefined) return node.isStrong && node.place !== "rejected";
  if (from !== null && !p.graph.knows(digest)) p.missing.onNamed(digest, from, p.nowMs);
  return p.graph.past.get(digest) === "accepted";
}

/** What of a chain this node does not prefer, from its head to the last bundle that the query is about; null if there is more. */
function dissentsOf(
  p: Participant,
  head: BundleNode,
  last: Hash | undefined,
  { max, walk }: { readonly max: number; readonly walk: { left: number } },
): readonly Dissent[] | null {
  const dissents: Dissent[] = [];
  for (let node: BundleNode | "past" = head; node !== "past"; node = node.previous) {
    walk.left -= 1;
    if (walk.left < 0) return null;
    if (!node.isPlain) {
      const current = node;
      const vertices = [...new Set([...node.contested.keys(), ...node.rejected])]
        .filter((vertex) => !isPreferred(p, { node: current, vertex }))
        .sort((left, right) => left - right);
      if (vertices.length > 0) dissents.push({ bundle: node.digest, vertices });
      if (dissents.length > max) return null;
    }
    if (node.digest === last) break;
  }
  return dissents;
}

export function onAnswer(p: Participant, from: ValidatorIndex, answer: Answer): void {
  const poll = p.polls.get(answer.poll);
  if (poll === undefined || !poll.waiting.delete(from)) return;
  if (!poll.isClosed) {
    poll.count(answer, (digest) => p.nodeOf(digest));
    maybeClose(p, poll);
  }
  if (poll.waiting.size === 0) end(p, poll, 0);
}

/** Polls whose time is over: who has not answered by now has not voted. */
export function onPollTimer(p: Participant): void {
  for (const poll of [...p.polls.values()]) {
    if (poll.deadlineMs > p.nowMs) continue;
    const silent = poll.waiting.size;
    for (const peer of poll.waiting) p.health.onTimeout(peer, p.nowMs);
    poll.waiting.clear();
    if (!poll.isClosed) close(p, poll);
    end(p, poll, silent);
  }
}

function maybeClose(p: Participant, poll: Poll): void {
  const { preferenceThreshold: preference, confidenceThreshold: confidence } = p.params;
  if (!poll.isClosed && poll.isFixed({ preference, confidence })) close(p, poll);
}

/** Nobody is waited for any more. */
function end(p: Participant, poll: Poll, silent: number): void {
  p.polls.delete(poll.id);
  const notAsked = poll.sampled.filter((peer) => !poll.asked.has(peer)).length;
  if (!p.health.onPoll(poll.sampled.length, silent + notAsked)) return;
  p.onPartition();
}

/** Counts the outcome, for the oldest bundles first: their descendants' votes need theirs. */
function close(p: Participant, poll: Poll): void {
  poll.isClosed = true;
  p.pollsDone += 1;
  p.tell("polled", `${poll.id}`, p.nowMs - poll.startedMs);
  const { preferenceThreshold: preference, confidenceThreshold: confidence } = p.params;
  const thresholds = { preference, confidence };
  const counted: BundleNode[] = [];
  for (const { node, yes } of poll.results()) {
    if (node.isSettled) continue;
    for (const [vertex, no] of poll.dissentsOf(node)) {
      // A vertex without keys has no rival: f liars must not make this node count each vertex of the DAG apart.
      const isCredible = node.sets.has(vertex) || no >= p.set.honestMinority;
      if (isCredible && node.isOpen(vertex)) node.contest(vertex);
    }
    node.snow.onPoll(yes, thresholds);
    if (yes >= preference) maybeFlip(p, { node, vertex: null });
    for (const [vertex, snow] of node.contested) {
      if (!node.isOpen(vertex)) continue;
      const yesVertex = poll.yesFor(node, vertex, yes);
      snow.onPoll(yesVertex, thresholds);
      if (yesVertex >= preference) maybeFlip(p, { node, vertex });
    }
    counted.push(node);
  }
  for (const node of counted) maybeAccept(p, node, "sampled");
}

/** Snowball: the preference goes to whom more polls spoke for (fig. 3, line 8), unless a binding vote or a certificate holds it. */
function maybeFlip(p: Participant, member: Member): void {
  const { successes } = member.node.snowOf(member.vertex);
  for (const id of member.node.setsOf(member.vertex)) {
    const set = p.graph.setOf(id);
    if (!set.isContested || set.pinned !== null || set.winner !== null || set.prefers(member)) continue;
    const { preferred } = set;
    const most = preferred === null ? -1 : preferred.node.snowOf(preferred.vertex).successes;
    if (successes > most) setPreference(p, set, member);
  }
}
