import type { Effect, Engine } from "../../src/consensus/engine.ts";
import { restore, VOTES_ROW, votesOfRow } from "../../src/consensus/hotstuff/durable.ts";
import { HotStuffEngine } from "../../src/consensus/hotstuff/engine.ts";
import { type LeaderChoice, type Leaders, leadersOf, mayLead } from "../../src/consensus/hotstuff/leaders.ts";
import type { Block, Commit, HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import type { VoteRoute } from "../../src/consensus/hotstuff/replica.ts";
import { type Rules, rulesOf } from "../../src/consensus/hotstuff/rules.ts";
import { blockHash, genesisBlock, statementOf } from "../../src/consensus/hotstuff/statements.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Sequence, ValidatorIndex } from "../../src/membership/ids.ts";
import { execute } from "../../src/replication/executor.ts";
import { withoutCounting } from "../../src/sim/wrong/wrong-hotstuff.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { Host } from "../cluster/host.ts";
import { Violation } from "../cluster/invariants.ts";
import { networkOf } from "../cluster/signing.ts";

/** Small, so that checkpoints and pruning take part in every run. */
const CHECKPOINT_INTERVAL = 4;

export interface Variant {
  readonly phases: 2 | 3;
  readonly voteRoute: VoteRoute;
  /** Default: round-robin. */
  readonly leaders?: LeaderChoice;
  /** Planted faults. */
  readonly makeRules?: () => Rules;
  readonly leaderRules?: Leaders;
  /** Believes certificates whose signatures hold, however few there are. */
  readonly isCredulous?: boolean;
  /** Rows that the disk loses when the replica starts again. */
  readonly forgets?: string;
}

export interface HotStuffClusterOptions {
  readonly count: number;
  readonly seed: number;
  readonly variant: Variant;
  isCorrect?(self: ValidatorIndex): boolean;
  /** What a liar makes of its engine. */
  wrap?(engine: Engine<HotStuffMessage>, host: Host): Engine<HotStuffMessage>;
  skewMs?(): number;
}

/** What a correct replica let out, across its crashes. */
interface Words {
  readonly said: Map<string, Hash>;
  gaveUp: number;
  voted: number;
}

interface Proposed {
  readonly block: Block;
  /** A liar may put its name under another's block. */
  readonly authors: ValidatorIndex[];
}

/** The virtual cluster around HotStuff: the hosts, links and disks are those that PBFT is tested with. */
export class HotStuffCluster extends Cluster {
  readonly #commits = new Map<string, Set<ValidatorIndex>>();
  readonly #settled = new Map<Sequence, Hash>();
  readonly #words = new Map<ValidatorIndex, Words>();
  readonly #blocks = new Map<Hash, Proposed>();
  /** By view: who gave it up. */
  readonly #timeouts = new Map<number, Set<ValidatorIndex>>();
  readonly #leaders: Leaders;
  /** Bytes of messages that left their senders, and how many. */
  bytes = 0;
  messages = 0;

  constructor({ count, seed, variant, isCorrect, wrap, skewMs }: HotStuffClusterOptions) {
    super({
      network: networkOf(count),
      seed,
      hostOptions: (_, self) => {
        const isHonest = isCorrect?.(self) ?? true;
        return {
          self,
          isCorrect: isHonest,
          makeEngine: (host) => {
            const engine = hotStuffOf(host, variant);
            return asHosted(isHonest ? engine : (wrap?.(engine, host) ?? engine));
          },
          execute,
          skewMs: skewMs?.() ?? 0,
        };
      },
    });
    this.#leaders = leadersOf(variant.leaders ?? "round-robin");
  }

  override observe(host: Host, effect: Effect<PbftMessage>): void {
    this.onEffect(host, effect);
    if (effect.kind === "broadcast" || effect.kind === "send") {
      const message = effect.message as unknown as HotStuffMessage;
      if (message.kind === "commit") this.#collect(host.self, message);
      if (message.kind === "proposal") this.#onProposed(host.self, message.block);
      if (message.kind === "timeout") {
        this.#timeouts.set(message.view, (this.#timeouts.get(message.view) ?? new Set()).add(host.self));
      }
    }
    if (!host.isCorrect) return;
    if (effect.kind === "finalize") this.#settle(effect.slot.sequence, effect.slot.certificate.digest, "executed");
    if (effect.kind === "broadcast" || effect.kind === "send") {
      this.#onSaid(host, effect.message as unknown as HotStuffMessage);
    }
    if (effect.kind === "persist") {
      for (const { key, value } of effect.writes) if (key === VOTES_ROW && value !== null) this.#onVoteRow(host, value);
    }
    if (effect.kind === "checkpoint") this.invariants.onCheckpoint(host.self, effect.certificate);
  }

  override send(...[from, to, packet]: Parameters<Cluster["send"]>): void {
    if (packet.kind === "message") {
      this.messages += 1;
      this.bytes += packet.body.length + packet.proof.length;
    }
    super.send(from, to, packet);
  }

  /** Whoever hears everything can make a certificate of a quorum's commits: it must be for what is executed there. */
  #collect(self: ValidatorIndex, { view, sequence, digest }: Commit): void {
    const key = `${view}/${sequence}/${digest}`;
    const signers = this.#commits.get(key) ?? new Set<ValidatorIndex>();
    this.#commits.set(key, signers.add(self));
    if (signers.size >= this.network.set.quorum)
      this.#settle(sequence, digest, `provable with commits of view ${view}`);
  }

  #settle(sequence: Sequence, digest: Hash, how: string): void {
    const known = this.#settled.get(sequence);
    if (known !== undefined && known !== digest) throw new Violation(`place ${sequence} is two things, one ${how}`);
    this.#settled.set(sequence, digest);
  }

  /** A vote is decided when its row is written: never in a view that was given up. */
  #onVoteRow(host: Host, value: Uint8Array): void {
    const { vote } = votesOfRow(value);
    const words = this.#wordsOf(host.self);
    if (vote === null || vote.view <= words.voted) return;
    words.voted = vote.view;
    this.#onVotedFor(host, vote.block);
    if (vote.view > words.gaveUp) return;
    throw new Violation(`replica ${host.self} voted in view ${vote.view}, though it gave up view ${words.gaveUp}`);
  }

  /** Nobody votes for a block of one who may not lead its view, nor for one that says wrong things of leaders. */
  #onVotedFor(host: Host, voted: Hash): void {
    const { network } = this;
    const genesis = genesisBlock(network, 0 as Sequence);
    const proposed = this.#blocks.get(voted);
    if (proposed === undefined) throw new Violation(`replica ${host.self} voted for a block that nobody proposed`);
    const { block, authors } = proposed;
    const { view, justify } = block;
    const parent = justify.block === genesis.digest ? genesis : this.#blocks.get(justify.block)?.block;
    if (parent === undefined) throw new Violation(`replica ${host.self} voted in view ${view} for a block on nothing`);
    const isGivenUp = (this.#timeouts.get(view - 1)?.size ?? 0) >= network.set.quorum;
    const leading = authors.filter((author) => {
      const right = mayLead(this.#leaders, network.set, parent, { view, author });
      return right === "elected" || (right === "after-timeout" && (isGivenUp || !this.#leaders.wantsTimeouts));
    });
    if (leading.length === 0)
      throw new Violation(
        `replica ${host.self} voted in view ${view} for a block of ${authors.join()}, none its leader`,
      );
    if (!leading.some((author) => this.#leaders.isRecordRight(network.set, parent, block, author)))
      throw new Violation(`replica ${host.self} voted in view ${view} for a block that slanders or spares leaders`);
  }

  #onProposed(author: ValidatorIndex, block: Block): void {
    const hash = blockHash(block);
    const proposed = this.#blocks.get(hash) ?? { block, authors: [] };
    this.#blocks.set(hash, proposed);
    if (!proposed.authors.includes(author)) proposed.authors.push(author);
  }

  /** One proposal and one vote in a view, one commit of a place in a view; a vote's row is written before. */
  #onSaid(host: Host, message: HotStuffMessage): void {
    if (message.kind === "ask" || message.kind === "certificates") return;
    const words = this.#wordsOf(host.self);
    const { phase, view, sequence, digest } = statementOf(message);
    const key = `${phase}/${view}/${sequence}`;
    const before = words.said.get(key);
    if (before !== undefined && before !== digest && phase !== "timeout") {
      throw new Violation(`replica ${host.self} said ${key} twice`);
    }
    words.said.set(key, digest);
    if (message.kind === "timeout") words.gaveUp = Math.max(words.gaveUp, view);
    if (message.kind !== "vote") return;
    const row = host.disk.rows.get(VOTES_ROW);
    if (row === undefined || votesOfRow(row).vote?.block !== digest) {
      throw new Violation(`replica ${host.self} voted in view ${view} before it was durable`);
    }
  }

  #wordsOf(self: ValidatorIndex): Words {
    const words = this.#words.get(self) ?? { said: new Map<string, Hash>(), gaveUp: 0, voted: 0 };
    this.#words.set(self, words);
    return words;
  }
}

/** The engine of one life, from what the disk of the host holds. */
export function hotStuffOf(host: Host, variant: Variant): Engine<HotStuffMessage> {
  const { phases, voteRoute, leaders = "round-robin", makeRules, leaderRules, forgets, isCredulous } = variant;
  const rows = host.disk.engineRows().filter(({ key }) => key !== forgets);
  const engine = new HotStuffEngine({
    network: host.cluster.network,
    self: host.self,
    lanes: host.lanes,
    timeouts: host.cluster.timeouts,
    phases,
    voteRoute,
    leaders,
    rules: makeRules?.() ?? rulesOf(phases),
    leaderRules: leaderRules ?? leadersOf(leaders),
    checkpointInterval: CHECKPOINT_INTERVAL,
    executed: host.disk.execution.sequence,
    restored: restore(rows),
  });
  return isCredulous === true ? withoutCounting(engine, host.cluster.network) : engine;
}

/** The hosts carry any engine's messages; only their types name PBFT's. */
function asHosted(engine: Engine<HotStuffMessage>): Engine<PbftMessage> {
  return engine as unknown as Engine<PbftMessage>;
}
