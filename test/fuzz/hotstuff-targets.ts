import { messageCodec, signedProposalCodec } from "../../src/consensus/hotstuff/codec.ts";
import { restore } from "../../src/consensus/hotstuff/durable.ts";
import { HotStuffEngine } from "../../src/consensus/hotstuff/engine.ts";
import { COMMITS_MAX } from "../../src/consensus/hotstuff/limits.ts";
import type { HotStuffMessage, Qc } from "../../src/consensus/hotstuff/messages.ts";
import { Lanes } from "../../src/dag/lanes.ts";
import type { Sequence, ValidatorIndex } from "../../src/membership/ids.ts";
import { proofRoot } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import { genesisState } from "../../src/replication/executor.ts";
import { membershipOf, networkOf } from "../cluster/signing.ts";
import { bucket, codecTarget, promise, type Target } from "./target.ts";

const network = networkOf(4);

/** Only asked whether it would listen, which changes nothing in it. */
const engine = new HotStuffEngine({
  network,
  self: 0 as ValidatorIndex,
  lanes: new Lanes(network, genesisState(network, membershipOf(network)).lanes),
  timeouts: { floorMs: 100, initialMs: 200, capMs: 1_000 },
  executed: 0 as Sequence,
  restored: restore([]),
});

function useMessage(message: HotStuffMessage): string {
  const { wire } = engine;
  const digest = statementDigest(network, wire.statementOf(message));
  promise(/^[0-9a-f]{64}$/.test(digest), "a statement's digest is no hash");
  const obligations = wire.obligationsOf(message);
  if (obligations === null) return "malformed";
  for (const { leaf, proof } of obligations) proofRoot(leaf, proof);
  // Votes, each with all its commits, and time-outs.
  const countMax = network.set.size * (COMMITS_MAX + 2);
  promise(obligations.length <= countMax, `${obligations.length} signature checks, at most ${countMax} are useful`);
  const screened = engine.screen(0 as ValidatorIndex, message).kind;
  return `${screened}, obligations ${bucket(obligations.length)}, commits ${bucket(qcOf(message)?.commits.length ?? 0)}`;
}

function qcOf(message: HotStuffMessage): Qc | null {
  return "qc" in message ? message.qc : null;
}

/** What HotStuff reads of others, and of its own disk. */
export const HOTSTUFF_TARGETS: readonly Target[] = [
  codecTarget("hotstuff-message", messageCodec, useMessage),
  codecTarget("signed-proposal", signedProposalCodec, ({ message }) => useMessage(message)),
];
