/** Writes the seeds of HotStuff's formats, out of a small network's life: `node scripts/bun.cjs test/fuzz/run-write-hotstuff-seeds.ts`. */
import { encode } from "../../src/codec/codec.ts";
import { messageCodec, signedProposalCodec } from "../../src/consensus/hotstuff/codec.ts";
import { restore } from "../../src/consensus/hotstuff/durable.ts";
import type { HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import { present } from "../../src/lib/assert.ts";
import { HotStuffCluster } from "../hotstuff/hotstuff-cluster.ts";
import { keep } from "./corpus.ts";

const cluster = new HotStuffCluster({
  count: 4,
  seed: 1,
  variant: { phases: 3, voteRoute: "leader", leaders: "reputation" },
});
const messages = new Map<string, HotStuffMessage>();

cluster.onEffect = (_, effect) => {
  if (effect.kind !== "broadcast" && effect.kind !== "send") return;
  const message = effect.message as unknown as HotStuffMessage;
  messages.set(nameOf(message), message);
};

/** By what is in it: each way once. */
function nameOf(message: HotStuffMessage): string {
  if (message.kind !== "proposal" && message.kind !== "certificates") return message.kind;
  const commits = (message.qc?.commits.length ?? 0) > 0 ? "-commits" : "";
  return `${message.kind}${message.qc === null ? "" : "-qc"}${commits}${message.tc === null ? "" : "-tc"}`;
}

cluster.start();
// One is cut off now and then, so that views fail and blocks are asked for.
cluster.passes = (from, to) => !((from === 3 || to === 3) && cluster.schedule.nowMs % 3_000 < 1_500);
for (let round = 0; round < 40; round++) {
  cluster.host(round % 4).submit([new TextEncoder().encode(`request ${round}`)]);
  cluster.run(cluster.schedule.nowMs + 200);
}
for (const [name, message] of messages) keep("hotstuff-message", `seed-${name}`, encode(messageCodec, message));
const rows = cluster.hosts.flatMap(({ disk }) => restore(disk.engineRows()).proposals);
keep("signed-proposal", "seed-row", encode(signedProposalCodec, present(rows.at(-1), "a block on a disk")));
console.log([...messages.keys()].join(" "));
