import { expect, test } from "bun:test";
import type { EngineEvent, Verified } from "../../src/consensus/engine.ts";
import { ANSWERED_BLOCKS_MAX, RESEND_MS } from "../../src/consensus/hotstuff/limits.ts";
import type { HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import { blockHash, statementOf } from "../../src/consensus/hotstuff/statements.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { present } from "../../src/lib/assert.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { ValidatorIndex, View } from "../../src/membership/ids.ts";
import type { Signed } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import { prove } from "../cluster/signing.ts";
import { HotStuffCluster } from "./hotstuff-cluster.ts";

test("a peer that asks without end is handed so many blocks in a time, and others are answered meanwhile", () => {
  const cluster = new HotStuffCluster({ count: 4, seed: 1, variant: { phases: 3, voteRoute: "leader" } });
  const blocks: Hash[] = [];
  cluster.onEffect = (_, effect) => {
    if (effect.kind !== "broadcast") return;
    const message = effect.message as unknown as HotStuffMessage;
    if (message.kind === "proposal") blocks.push(blockHash(message.block));
  };
  cluster.start();
  cluster.run(100);
  cluster.host(0).submit([new TextEncoder().encode("request")]);
  cluster.runUntilQuiet(10_000);

  const engine = present(cluster.host(0).engine ?? undefined, "a replica that is up");
  const message: HotStuffMessage = { kind: "ask", block: present(blocks.at(-1), "a block"), above: 0 as View };
  /** How many blocks an ask of this validator is answered with. */
  const ask = (from: number, nowMs: number): number => {
    const signer = from as ValidatorIndex;
    const [proof] = prove(cluster.network, signer, [statementDigest(cluster.network, statementOf(message))]);
    const signed = { message, proof: present(proof, "a proof") } as unknown as Verified<Signed<PbftMessage>>;
    const event: EngineEvent<PbftMessage> = { kind: "message", nowMs, wallMs: nowMs, signed };
    return engine.step(event).filter((effect) => effect.kind === "relay" && effect.to === signer).length;
  };
  const now = cluster.schedule.nowMs;
  const first = ask(3, now);
  expect(first).toBeGreaterThan(0);
  let handed = first;
  for (let asked = 0; asked < 2 * ANSWERED_BLOCKS_MAX; asked++) handed += ask(3, now + 1);
  expect(handed).toBe(ANSWERED_BLOCKS_MAX);
  expect(ask(2, now + 1)).toBe(first);
  expect(ask(3, now + RESEND_MS)).toBe(first);
});
