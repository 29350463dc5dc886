import type { Codec } from "../codec/codec.ts";
import { mapped, struct } from "../codec/composites.ts";
import { hash, u64 } from "../codec/primitives.ts";
import { Writer } from "../codec/writer.ts";
import { hashOf } from "../crypto/hash.ts";
import { assert } from "../lib/assert.ts";
import { compareHashes, type Hash } from "../lib/hash.ts";
import type { Obligation } from "./certificate.ts";
import { contradicts, type Equivocation } from "./equivocation.ts";
import type { Epoch } from "./ids.ts";
import { type Proof, proofCodec } from "./seal.ts";
import { isOfEveryEpoch, type Phase, type Statement, statementDigest } from "./statement.ts";
import type { NetworkContext } from "./validator-set.ts";

/** A statement with the proof that its signer made it. */
export interface ProvedStatement {
  readonly statement: Statement;
  readonly proof: Proof;
}

/**
 * An equivocation that names the epoch of its statements, so that anybody who knows the roster can check it, whatever
 * the present epoch. The statement of the smaller digest comes first.
 */
export interface Evidence {
  readonly epoch: Epoch;
  readonly first: ProvedStatement;
  readonly second: ProvedStatement;
}

/**
 * The phases in which two statements convict, in the order of their bytes on the wire; append only. Checkpoints are not
 * among them: two state digests for one sequence come from a diverging application as well, which is a bug and no lie.
 */
const CONVICTING: readonly Phase[] = [
  "bundle",
  "pre-prepare",
  "prepare",
  "commit",
  "view-change",
  "new-view",
  "vertex",
  "propose",
  "vote",
  // Names a certificate by its view and block, and there is one for a view.
  "timeout",
];

const phaseCodec: Codec<Phase> = {
  sizeMin: 1,
  encode: (writer, phase) => {
    const byte = CONVICTING.indexOf(phase);
    assert(byte >= 0, `a phase that convicts, not ${phase}`);
    writer.u8(byte);
  },
  decode: (reader) => {
    const byte = reader.u8();
    return CONVICTING[byte] ?? reader.fail("unknown-variant", `phase ${byte} of ${CONVICTING.length}`);
  },
};

export const statementCodec: Codec<Statement> = struct<Statement>({
  phase: phaseCodec,
  view: u64,
  sequence: u64,
  digest: hash,
});

const provedCodec: Codec<ProvedStatement> = struct<ProvedStatement>({ statement: statementCodec, proof: proofCodec });

export const epochCodec: Codec<Epoch> = mapped(
  u64,
  (epoch) => epoch as Epoch,
  (epoch) => epoch,
);

/** At most about 11 KB: two seals of 4.7 KB and two paths of 12 hashes. */
export const evidenceCodec: Codec<Evidence> = struct<Evidence>({
  epoch: epochCodec,
  first: provedCodec,
  second: provedCodec,
});

/**
 * The evidence in an equivocation of this epoch, its statements in order, so that equal evidence has equal bytes but for
 * the signatures. That of two bundles names epoch 0, as their statements do (see `statementDigest`).
 */
export function evidenceOf(epoch: Epoch, { first, second }: Equivocation): Evidence {
  const named = isOfEveryEpoch(first.statement.phase) ? (0 as Epoch) : epoch;
  const isOrdered = compareHashes(first.statement.digest, second.statement.digest) <= 0;
  return isOrdered ? { epoch: named, first, second } : { epoch: named, first: second, second: first };
}

/**
 * Why this is no evidence, whatever its signatures; null where it is well formed. The signatures are
 * `obligationsOfEvidence`'s, and whether it still convicts is decided where it is executed (`applyMembership`).
 */
export function evidenceFault(network: NetworkContext, evidence: Evidence): string | null {
  const { epoch, first, second } = evidence;
  const { phase } = first.statement;
  if (!contradicts(evidence)) return "the two statements do not contradict each other";
  if (!CONVICTING.includes(phase)) return `two ${phase} statements convict nobody`;
  if (!network.set.knows(first.proof.seal.signer)) return `signer ${first.proof.seal.signer} is not in the roster`;
  if (epoch > network.set.epoch) return `epoch ${epoch} has not begun, this is epoch ${network.set.epoch}`;
  if (isOfEveryEpoch(phase) && epoch !== 0) return `bundles' statements name epoch 0, not ${epoch}`;
  const isOrdered = compareHashes(first.statement.digest, second.statement.digest) < 0;
  return isOrdered ? null : "the statement of the smaller digest comes first";
}

/** The two signature checks, with the leaves of the evidence's own epoch and of this network: no other's is proved. */
export function obligationsOfEvidence(network: NetworkContext, evidence: Evidence): readonly Obligation[] {
  const context = { genesis: network.genesis, set: { epoch: evidence.epoch } };
  return [evidence.first, evidence.second].map(({ statement, proof }) => ({
    leaf: statementDigest(context, statement),
    proof,
  }));
}

/**
 * The evidence's name: its epoch, signer and statements. Signature bytes are not in it: the same lie signed twice, or
 * proved by other seals, is one evidence.
 */
export function evidenceId({ epoch, first, second }: Evidence): Hash {
  const writer = new Writer(256);
  writer.u64(epoch);
  writer.u16(first.proof.seal.signer);
  statementCodec.encode(writer, first.statement);
  statementCodec.encode(writer, second.statement);
  return hashOf("evidence", writer.finish());
}
