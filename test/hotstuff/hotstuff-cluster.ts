import type { Effect, Engine } from "../../src/consensus/engine.ts";
import { restore } from "../../src/consensus/hotstuff/durable.ts";
import { HotStuffEngine } from "../../src/consensus/hotstuff/engine.ts";
import type { HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import type { VoteRoute } from "../../src/consensus/hotstuff/replica.ts";
import { type Rules, rulesOf } from "../../src/consensus/hotstuff/rules.ts";
import { statementOf } from "../../src/consensus/hotstuff/statements.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
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
  readonly rules?: Rules;
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
}

/** The virtual cluster around HotStuff: the hosts, links and disks are those that PBFT is tested with. */
export class HotStuffCluster extends Cluster {
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
    if (!host.isCorrect) return;
    if (effect.kind === "broadcast" || effect.kind === "send") {
      this.#onSaid(host.self, effect.message as unknown as HotStuffMessage);
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

  /** One proposal and one vote in a view, no vote in a view that was given up, one commit of a place in a view. */
  #onSaid(self: ValidatorIndex, message: HotStuffMessage): void {
    if (message.kind === "ask" || message.kind === "certificates") return;
    const words = this.#words.get(self) ?? { said: new Map<string, Hash>(), gaveUp: 0 };
    this.#words.set(self, words);
    const { phase, view, sequence, digest } = statementOf(message);
    const key = `${phase}/${view}/${sequence}`;
    const before = words.said.get(key);
    if (before !== undefined && before !== digest) throw new Violation(`replica ${self} said ${key} twice`);
    if (phase === "vote" && before === undefined && view <= words.gaveUp) {
      throw new Violation(`replica ${self} voted in view ${view}, though it gave up view ${words.gaveUp}`);
    }
    words.said.set(key, digest);
    if (message.kind === "timeout") words.gaveUp = Math.max(words.gaveUp, view);
  }
}

/** The engine of one life, from what the disk of the host holds. */
export function hotStuffOf(host: Host, { phases, voteRoute, rules, forgets }: Variant): Engine<HotStuffMessage> {
  const rows = host.disk.engineRows().filter(({ key }) => key !== forgets);
  return new HotStuffEngine({
    network: host.cluster.network,
    self: host.self,
    lanes: host.lanes,
    timeouts: host.cluster.timeouts,
    phases,
    voteRoute,
    rules: rules ?? rulesOf(phases),
    checkpointInterval: CHECKPOINT_INTERVAL,
    executed: host.disk.execution.sequence,
    restored: restore(rows),
  });
}

/** The hosts carry any engine's messages; only their types name PBFT's. */
function asHosted(engine: Engine<HotStuffMessage>): Engine<PbftMessage> {
  return engine as unknown as Engine<PbftMessage>;
}
