import type { Effect, Engine } from "../../src/consensus/engine.ts";
import { restore, VOTES_ROW, votesOfRow } from "../../src/consensus/hotstuff/durable.ts";
import { HotStuffEngine } from "../../src/consensus/hotstuff/engine.ts";
import type { Commit, HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import type { VoteRoute } from "../../src/consensus/hotstuff/replica.ts";
import { type Rules, rulesOf } from "../../src/consensus/hotstuff/rules.ts";
import { statementOf } from "../../src/consensus/hotstuff/statements.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Sequence, ValidatorIndex } from "../../src/membership/ids.ts";
import { execute } from "../../src/replication/executor.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { Host } from "../cluster/host.ts";
import { Violation } from "../cluster/invariants.ts";
import { networkOf } from "../cluster/signing.ts";

/** Small, so that checkpoints and pruning take part in every run. */
const CHECKPOINT_INTERVAL = 4;

export interface Variant {
  readonly phases: 2 | 3;
  readonly voteRoute: VoteRoute;
  /** Planted faults. */
  readonly makeRules?: () => Rules;
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

/** The virtual cluster around HotStuff: the hosts, links and disks are those that PBFT is tested with. */
export class HotStuffCluster extends Cluster {
  readonly #commits = new Map<string, Set<ValidatorIndex>>();
  readonly #settled = new Map<Sequence, Hash>();
  readonly #words = new Map<ValidatorIndex, Words>();
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
  }

  override observe(host: Host, effect: Effect<PbftMessage>): void {
    this.onEffect(host, effect);
    if (effect.kind === "broadcast" || effect.kind === "send") {
      const message = effect.message as unknown as HotStuffMessage;
      if (message.kind === "commit") this.#collect(host.self, message);
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
    if (vote.view > words.gaveUp) return;
    throw new Violation(`replica ${host.self} voted in view ${vote.view}, though it gave up view ${words.gaveUp}`);
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
export function hotStuffOf(host: Host, { phases, voteRoute, makeRules, forgets }: Variant): Engine<HotStuffMessage> {
  const rows = host.disk.engineRows().filter(({ key }) => key !== forgets);
  return new HotStuffEngine({
    network: host.cluster.network,
    self: host.self,
    lanes: host.lanes,
    timeouts: host.cluster.timeouts,
    phases,
    voteRoute,
    rules: makeRules?.() ?? rulesOf(phases),
    checkpointInterval: CHECKPOINT_INTERVAL,
    executed: host.disk.execution.sequence,
    restored: restore(rows),
  });
}

/** The hosts carry any engine's messages; only their types name PBFT's. */
function asHosted(engine: Engine<HotStuffMessage>): Engine<PbftMessage> {
  return engine as unknown as Engine<PbftMessage>;
}
