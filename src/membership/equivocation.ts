import type { Obligation } from "./certificate.ts";
import type { Proof } from "./seal.ts";
import { type Statement, statementDigest } from "./statement.ts";
import type { NetworkContext } from "./validator-set.ts";

/** Two contradictory statements of one validator, each with its proof: anybody who knows the validator set can check it. */
export interface Equivocation {
  readonly first: { readonly statement: Statement; readonly proof: Proof };
  readonly second: { readonly statement: Statement; readonly proof: Proof };
}

/** Whether the two statements contradict each other and name one signer. The signatures are `obligationsOfEquivocation`'s. */
export function contradicts({ first, second }: Equivocation): boolean {
  return (
    first.proof.seal.signer === second.proof.seal.signer &&
    first.statement.phase === second.statement.phase &&
    first.statement.view === second.statement.view &&
    first.statement.sequence === second.statement.sequence &&
    first.statement.digest !== second.statement.digest
  );
}

export function obligationsOfEquivocation(network: NetworkContext, evidence: Equivocation): readonly Obligation[] {
  return [evidence.first, evidence.second].map(({ statement, proof }) => ({
    leaf: statementDigest(network, statement),
    proof,
  }));
}
