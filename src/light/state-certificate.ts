import { type Codec, decode } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { bytes, u8 } from "../codec/primitives.ts";
import type { Hash } from "../lib/hash.ts";
import { epochCodec } from "../membership/evidence.ts";
import type { Epoch, Sequence } from "../membership/ids.ts";
import { type Proof, proofCodec } from "../membership/seal.ts";
import type { Statement } from "../membership/statement.ts";
import { VALIDATORS_MAX } from "../membership/validator-set.ts";
import { type ExecutionState, executionStateCodec, executionStateDigest } from "../replication/executor.ts";

/** Both say "I have executed up to this sequence, and this is my state"; checkpoints come by themselves, the other on request. */
const PHASES = ["checkpoint", "executed"] as const;

export type StatePhase = (typeof PHASES)[number];

/** That validators of one epoch executed the log up to `sequence` and came to this state. */
export interface StateCertificate {
  /** Whose words these are: the epoch of the last batch that was executed. */
  readonly epoch: Epoch;
  readonly phase: StatePhase;
  /** An encoded `ExecutionState`. */
  readonly state: Uint8Array;
  readonly proofs: readonly Proof[];
}

/** 48 bytes for each lane, and what comes once. */
const STATE_BYTES_MAX = 64 * VALIDATORS_MAX;

const phaseCodec: Codec<StatePhase> = {
  sizeMin: 1,
  encode: (writer, phase) => u8.encode(writer, PHASES.indexOf(phase)),
  decode: (reader) => {
    const byte = reader.u8();
    return PHASES[byte] ?? reader.fail("unknown-variant", `phase ${byte} of ${PHASES.length}`);
  },
};

export const stateCertificateCodec: Codec<StateCertificate> = struct<StateCertificate>({
  epoch: epochCodec,
  phase: phaseCodec,
  state: bytes(STATE_BYTES_MAX),
  proofs: vec(proofCodec, VALIDATORS_MAX),
});

/** @throws DecodeError */
export function stateOf({ state }: StateCertificate): ExecutionState {
  return decode(executionStateCodec, state);
}

/** What the signers of a certificate about this state say. */
export function stateStatement(phase: StatePhase, sequence: Sequence, digest: Hash): Statement {
  return { phase, view: 0, sequence, digest };
}

export function statementAbout(phase: StatePhase, state: ExecutionState): Statement {
  return stateStatement(phase, state.sequence, executionStateDigest(state));
}
