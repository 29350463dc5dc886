import type { Effect, Engine, EngineEvent } from "../consensus/engine.ts";
import type { Leaders } from "../consensus/hotstuff/leaders.ts";
import type { Block, HotStuffMessage, Proposal, Qc } from "../consensus/hotstuff/messages.ts";
import { blockHash } from "../consensus/hotstuff/statements.ts";
import { type Batch, batchDigest, NULL_BATCH } from "../dag/batch.ts";
import { BATCH_BUNDLES_MAX } from "../dag/limits.ts";
import type { Hash } from "../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import type { Signed } from "../membership/seal.ts";
import { edited, isEnd, type Scene } from "./attacks.ts";
import type { AttackName } from "./plan.ts";

/** The attacks of `attacks.ts` on what HotStuff says; those on frames and answers are in `lying-transport.ts`. */

interface HotStuffScene extends Omit<Scene, "prove"> {
  /** Who leads in this network. */
  readonly leaders: Leaders;
}

type HotStuffEffect = Effect<HotStuffMessage>;
type Edit = (effect: HotStuffEffect, event: EngineEvent<HotStuffMessage>) => readonly HotStuffEffect[];

/** Certificates, proposals and words that a liar remembers, so that it may use old ones. */
const REMEMBERED_MAX = 200;

/** A Byzantine validator of a network of HotStuff: a correct engine whose effects somebody edits. */
export function lyingHotStuff(
  engine: Engine<HotStuffMessage>,
  attacks: readonly AttackName[],
  scene: HotStuffScene,
): Engine<HotStuffMessage> {
  const liar = attacks.reduce((inner, name) => {
    const editor = EDITORS[name];
    return editor === undefined ? inner : edited(inner, editor(scene));
  }, engine);
  return {
    name: liar.name,
    dag: liar.dag,
    wire: liar.wire,
    step: (event) => liar.step(event).filter((effect) => !isEnd(effect)),
    screen: (from, message) => liar.screen(from, message),
    status: () => liar.status(),
    batchOf: (digest) => liar.batchOf(digest),
  };
}

const EDITORS: Readonly<Partial<Record<AttackName, (scene: HotStuffScene) => Edit>>> = {
  equivocate: (scene) => {
    const { random } = scene;
    return (effect) => {
      if (effect.kind !== "broadcast" && effect.kind !== "send") return [effect];
      const { message } = effect;
      if (message.kind === "proposal" && effect.kind === "broadcast") {
        const other = withBatch(message, otherBatch(message.batch));
        return toEach(scene, () => random.pick([message, other]));
      }
      if (random.chance(0.5)) return [effect];
      const lie = batchDigest({ timestampMs: 5, bundles: [] });
      if (message.kind === "vote") return [{ ...effect, message: { ...message, block: lie } }];
      return message.kind === "commit" ? [{ ...effect, message: { ...message, digest: lie } }] : [effect];
    };
  },
  withhold: (scene) => {
    const { random } = scene;
    const victims = others(scene).filter(() => random.chance(0.5));
    return (effect) => {
      if (effect.kind === "send" && (victims.includes(effect.to) || random.chance(0.2))) return [];
      if (effect.kind !== "broadcast") return [effect];
      const { message } = effect;
      return toEach(scene, (to) => (!victims.includes(to) && random.chance(0.9) ? message : null));
    };
  },
  "vote-for-everything": (scene) => {
    const blocks = new Map<Hash, Block>();
    return (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || !scene.mayLie()) return [effect];
      const { message, proof } = event.signed;
      if (message.kind !== "proposal" || proof.seal.signer === scene.self) return [effect];
      const hash = remember(blocks, blockHash(message.block), message.block);
      return [effect, ...votesFor(scene, blocks, hash)];
    };
  },
  /** Gives a view up with a lower certificate than it knows, or one that is none. */
  "forget-certificates": (scene) => {
    const { random } = scene;
    const old = { view: 0 as View, block: batchDigest(NULL_BATCH) };
    return (effect) => {
      if (effect.kind !== "broadcast" || effect.message.kind !== "timeout") return [effect];
      const { message } = effect;
      const unknown = { view: (message.view - 1) as View, block: batchDigest({ timestampMs: 6, bundles: [] }) };
      const versions = [message, { ...message, high: old }, { ...message, high: unknown }];
      return toEach(scene, () => random.pick(versions));
    };
  },
  /** A leader that builds on an older certificate than the newest, for some or for all. */
  "two-new-views": (scene) => {
    const { random } = scene;
    const known = new Map<Hash, Qc>();
    const blocks = new Map<Hash, Block>();
    return (effect, event) => {
      if (event.kind === "message") learn(event.signed.message, known, blocks);
      if (effect.kind !== "broadcast" || effect.message.kind !== "proposal") return [effect];
      const { message } = effect;
      const stale =
        onOldCertificate(scene, message, { known: random.shuffled([...known.values()]), blocks }) ?? message;
      return toEach(scene, () => random.pick([stale, stale, message]));
    };
  },
  /** Others' votes under another block. */
  "forge-new-view": (scene) => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "proposal") return [effect];
    const { message } = effect;
    const { qc, block } = message;
    if (qc === null) return [effect];
    const forged = { ...qc, block: batchDigest({ timestampMs: 7, bundles: [] }) };
    const justify = { view: forged.view, block: forged.block };
    const lie: Proposal = { ...message, qc: forged, block: { ...block, justify } };
    return toEach(scene, () => scene.random.pick([message, lie]));
  },
  /**
   * A certificate whose commits say something else, or are left out; and, for a second block of its own, one of its own vote
   * alone, or of that as often as a quorum has votes.
   */
  "forge-certificate": (scene) => {
    const { random } = scene;
    const seconds = new Map<Hash, ValidatorIndex>();
    return (effect, event) => {
      if (isEnd(effect)) return [effect, ...thinCertificates(scene, event, seconds)];
      if (effect.kind !== "broadcast" && effect.kind !== "send") return [effect];
      const { message } = effect;
      if (message.kind === "proposal" && effect.kind === "broadcast" && random.chance(0.5))
        return twoBlocks(scene, message, seconds);
      if (message.kind !== "proposal" && message.kind !== "certificates") return [effect];
      if (message.qc === null || random.chance(0.3)) return [effect];
      const digest = batchDigest({ timestampMs: 6, bundles: [] });
      const commits = message.qc.commits.map((commit) => ({ ...commit, digest }));
      const qc = { ...message.qc, commits: random.chance(0.5) ? commits : commits.slice(1) };
      return [{ ...effect, message: { ...message, qc } }];
    };
  },
  "wrong-state": (scene) => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "checkpoint" || scene.random.chance(0.2))
      return [effect];
    const stateDigest = batchDigest({ timestampMs: effect.message.sequence, bundles: [] });
    return [{ kind: "broadcast", message: { ...effect.message, stateDigest } }];
  },
  "view-change-spam": (scene) => {
    let wanted = 0;
    return (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || scene.random.chance(0.9) || !scene.mayLie()) return [effect];
      wanted = Math.max(wanted, scene.status().view) + scene.random.between(1, 2);
      const high = { view: 0 as View, block: batchDigest(NULL_BATCH) };
      return [effect, { kind: "broadcast", message: { kind: "timeout", view: wanted as View, high } }];
    };
  },
  lie: ({ random }) => {
    return (effect) => {
      if (effect.kind !== "status") return [effect];
      const { status } = effect;
      const executed = random.pick([0, status.executed, status.executed + 1, status.executed + 1_000]) as Sequence;
      const view = random.pick([0, status.view, status.view + 1, status.view + 9]) as View;
      return [{ ...effect, status: { ...status, view, executed, active: random.chance(0.5) } }];
    };
  },
  replay: (scene) => {
    const { random } = scene;
    const kept: Signed<HotStuffMessage>[] = [];
    return (effect, event) => {
      if (!isEnd(effect) || event.kind !== "message" || !scene.mayLie()) return [effect];
      if (kept.length < REMEMBERED_MAX) kept.push(event.signed);
      else kept[random.below(kept.length)] = event.signed;
      if (random.chance(0.7)) return [effect];
      return [effect, { kind: "relay", to: random.pick(others(scene)), signed: random.pick(kept) }];
    };
  },
  censor: (scene) => {
    const victim = scene.random.pick(scene.network.set.indices());
    return rewriting((message) => {
      const bundles = message.batch.bundles.filter((digest) => scene.lanes.get(digest)?.creator !== victim);
      return withBatch(message, { ...message.batch, bundles });
    });
  },
  /** At another place, in another view; beside another leader; with false words about leaders. */
  "propose-anywhere": (scene) => {
    const { random } = scene;
    const bent = rewriting((message) => {
      if (random.chance(0.4)) return message;
      const { block } = message;
      if (random.chance(0.3)) return { ...message, block: { ...block, absences: slander(scene, block) } };
      const distance = random.between(-3, 60);
      const sequence = Math.max(0, block.sequence + distance) as Sequence;
      const view = (block.view + random.between(1, 20)) as View;
      return { ...message, block: random.chance(0.5) ? { ...block, sequence } : { ...block, view } };
    });
    return (effect, event) => (isEnd(effect) ? [effect, ...besideTheLeader(scene, event)] : bent(effect, event));
  },
  /** Leads just fast enough to look alive: proposals with nothing in them. */
  crawl: () => rewriting((message) => withBatch(message, NULL_BATCH)),
  /** Names content twice, and that of its last proposal once more: execution has to pass it over. */
  repeat: () => {
    let last: readonly Hash[] = [];
    return rewriting((message) => {
      const { bundles } = message.batch;
      if (bundles.length === 0) return message;
      const repeated = [...bundles, ...last, ...bundles].slice(0, BATCH_BUNDLES_MAX);
      last = bundles;
      return withBatch(message, { ...message.batch, bundles: repeated });
    });
  },
  /** One block for all, as signed, and another content for some: the content lies outside the signature. */
  "wrong-content": (scene) => (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "proposal") return [effect];
    const { message } = effect;
    if (message.batch.bundles.length === 0) return [effect];
    const other = { ...message, batch: { ...message.batch, bundles: [...message.batch.bundles].reverse().slice(1) } };
    return toEach(scene, (to) => (to !== scene.self && scene.random.chance(0.4) ? other : message));
  },
};

/**
 * The second one to one that does not lead next, with an own vote for it; what makes a certificate of that vote comes when it
 * is signed. All others certify the first block: who believes in the second one is alone with it.
 */
function twoBlocks(
  scene: HotStuffScene,
  message: Proposal,
  seconds: Map<Hash, ValidatorIndex>,
): readonly HotStuffEffect[] {
  const { random, self, leaders, network } = scene;
  const next = leaders.electedOn(network.set, message.block);
  const victim = random.pick(others(scene).filter((other) => other !== next));
  const other = withBatch(message, otherBatch(message.batch));
  const block = blockHash(other.block);
  remember(seconds, block, victim);
  return [
    ...toEach(scene, (to) => (to === victim ? other : message)),
    { kind: "send", to: self, message: { kind: "vote", view: other.block.view, block } },
  ];
}

function thinCertificates(
  scene: HotStuffScene,
  event: EngineEvent<HotStuffMessage>,
  seconds: ReadonlyMap<Hash, ValidatorIndex>,
): readonly HotStuffEffect[] {
  if (event.kind !== "message" || !scene.mayLie()) return [];
  const { message, proof } = event.signed;
  if (message.kind !== "vote" || proof.seal.signer !== scene.self) return [];
  const to = seconds.get(message.block);
  if (to === undefined) return [];
  const { random, network } = scene;
  const times = random.pick([1, network.set.quorum - 1, network.set.quorum]);
  const votes = Array.from({ length: times }, () => proof);
  const qc: Qc = { view: message.view, block: message.block, votes, commits: [] };
  return [{ kind: "send", to, message: { kind: "certificates", qc, tc: null } }];
}

/** Everybody else failed. */
function slander(scene: HotStuffScene, { view }: Block): Block["absences"] {
  return others(scene).map((validator) => ({ validator, failures: 3, until: (view + 500) as View }));
}

/** A block of its own with the certificates of another's, as if that one's turn were its own. */
function besideTheLeader(scene: HotStuffScene, event: EngineEvent<HotStuffMessage>): readonly HotStuffEffect[] {
  if (event.kind !== "message" || scene.random.chance(0.8) || !scene.mayLie()) return [];
  const { message, proof } = event.signed;
  if (message.kind !== "proposal" || proof.seal.signer === scene.self) return [];
  return toEach(scene, () => withBatch(message, otherBatch(message.batch)));
}

function rewriting(rewrite: (message: Proposal) => Proposal): Edit {
  return (effect) => {
    if (effect.kind !== "broadcast" || effect.message.kind !== "proposal") return [effect];
    return [{ kind: "broadcast", message: rewrite(effect.message) }];
  };
}

/** A block with this content in place of its own, as valid as it was. */
function withBatch(message: Proposal, batch: Batch): Proposal {
  const had = message.batch.bundles.length > 0 ? 1 : 0;
  const isEmpty = batch.bundles.length === 0;
  const content = isEmpty ? NULL_BATCH : batch;
  const sequence = (message.block.sequence - had + (isEmpty ? 0 : 1)) as Sequence;
  return { ...message, batch: content, block: { ...message.block, sequence, digest: batchDigest(content) } };
}

/** Where there is nothing to alter, content that is not held anywhere. */
function otherBatch(batch: Batch): Batch {
  return { ...batch, timestampMs: batch.timestampMs + 1 };
}

/** With every commit that the vote could stand for. */
function votesFor(
  { random, network, leaders }: HotStuffScene,
  blocks: ReadonlyMap<Hash, Block>,
  hash: Hash,
): readonly HotStuffEffect[] {
  const block = blocks.get(hash);
  if (block === undefined) return [];
  const { view } = block;
  const next = leaders.electedOn(network.set, block);
  const messages: HotStuffMessage[] = [{ kind: "vote", view, block: hash }];
  let at: Block | undefined = block;
  for (let depth = 0; at !== undefined && depth < 8; depth++) {
    messages.unshift({ kind: "commit", view, sequence: at.sequence, digest: at.digest });
    at = blocks.get(at.justify.block);
  }
  const isToAll = random.chance(0.5);
  return messages.map((message) => (isToAll ? { kind: "broadcast", message } : { kind: "send", to: next, message }));
}

function learn(message: HotStuffMessage, known: Map<Hash, Qc>, blocks: Map<Hash, Block>): void {
  if (message.kind === "proposal") remember(blocks, blockHash(message.block), message.block);
  if ((message.kind === "proposal" || message.kind === "certificates") && message.qc !== null)
    remember(known, message.qc.block, message.qc);
}

function onOldCertificate(
  { leaders, network, self }: HotStuffScene,
  message: Proposal,
  { known, blocks }: { readonly known: readonly Qc[]; readonly blocks: ReadonlyMap<Hash, Block> },
): Proposal | null {
  const { view } = message.block;
  for (const qc of known) {
    const parent = blocks.get(qc.block);
    if (parent === undefined || qc.view >= message.block.view) continue;
    const content = message.batch.bundles.length > 0 ? 1 : 0;
    const justify = { view: qc.view, block: qc.block };
    const sequence = (parent.sequence + content) as Sequence;
    const absences = leaders.absencesOf(network.set, parent, { view, author: self });
    return { ...message, qc, block: { ...message.block, justify, sequence, absences } };
  }
  return null;
}

function remember<V>(map: Map<Hash, V>, key: Hash, value: V): Hash {
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > REMEMBERED_MAX && oldest !== undefined) map.delete(oldest);
  return key;
}

/** One message for each validator, itself included; null for none. */
function toEach(
  { network }: HotStuffScene,
  messageFor: (to: ValidatorIndex) => HotStuffMessage | null,
): readonly HotStuffEffect[] {
  return network.set.indices().flatMap((to): HotStuffEffect[] => {
    const message = messageFor(to);
    return message === null ? [] : [{ kind: "send", to, message }];
  });
}

function others({ network, self }: HotStuffScene): readonly ValidatorIndex[] {
  return network.set.indices().filter((index) => index !== self);
}
