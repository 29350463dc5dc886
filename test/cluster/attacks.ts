import type { Engine } from "../../src/consensus/engine.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { present } from "../../src/lib/assert.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";
import { lying } from "../../src/sim/attacks.ts";
import type { AttackName } from "../../src/sim/plan.ts";
import type { Random } from "../../src/sim/random.ts";
import type { Answer } from "./asking.ts";
import type { Host } from "./host.ts";
import { prove } from "./signing.ts";

/** What can be done to the engine alone; the rest of `ATTACKS` needs the whole node. */
const NAMES: readonly AttackName[] = [
  "equivocate",
  "withhold",
  "vote-for-everything",
  "forget-certificates",
  "two-new-views",
  "forge-new-view",
  "forge-certificate",
  "wrong-state",
  "lie",
  "replay",
  "censor",
  "crawl",
  "propose-anywhere",
];

/** Attackers that answer each other go on for ever; they stop when this many packets are on their way. */
const SENT_MAX = 40_000;

export interface Attack {
  readonly name: string;
  wrap(engine: Engine<PbftMessage>, host: Host): Engine<PbftMessage>;
  answer(honest: Answer | null): Answer | null;
}

/** One to three of the attacks at the same time. */
export function attackOf(random: Random, network: NetworkContext, only?: readonly AttackName[]): Attack {
  const names = only ?? random.shuffled(NAMES).slice(0, random.between(1, 3));
  return {
    name: names.join("+"),
    wrap: (engine, host) =>
      lying(engine, names, {
        random,
        network,
        self: host.self,
        lanes: host.lanes,
        status: () => engine.status(),
        wallMs: () => host.now().wallMs,
        prove: (statement) => present(prove(network, host.self, [statementDigest(network, statement)])[0], "a proof"),
        mayLie: () => host.cluster.sent <= SENT_MAX,
      }),
    answer: (honest) => (names.includes("lie") ? lyingAnswer(random, honest) : honest),
  };
}

function lyingAnswer(random: Random, honest: Answer | null): Answer | null {
  if (random.chance(0.4)) return null;
  if (honest?.kind !== "committed") return honest;
  if (random.chance(0.5)) return { ...honest, slots: honest.slots.slice(0, 1), checkpoint: null };
  return { ...honest, slots: [...honest.slots].reverse() };
}
