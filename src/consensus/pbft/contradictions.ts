import type { Hash } from "../../lib/hash.ts";
import type { Equivocation } from "../../membership/equivocation.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import type { Phase, Statement } from "../../membership/statement.ts";

interface Said {
  readonly view: number;
  readonly digest: Hash;
  readonly proof: Proof;
  accused: boolean;
}

/**
 * What each validator said of the newest view that it wanted (view-change) or made (new-view): a correct one says one thing
 * for each view, durable before it leaves, so two are evidence. Votes for places are compared where they are counted.
 */
export class Contradictions {
  /** Bounded: one entry for each validator and phase. */
  readonly #said = new Map<string, Said>();

  /** Whether this statement contradicts what its signer is known to have said, and that was not reported yet. */
  contradicts(signer: ValidatorIndex, { phase, view, digest }: Statement): boolean {
    const said = this.#said.get(keyOf(phase, signer));
    return said !== undefined && said.view === view && said.digest !== digest && !said.accused;
  }

  /** Takes note of a verified statement; answers the evidence where it contradicts an earlier one, once. */
  learn(statement: Statement, proof: Proof): Equivocation | null {
    const { phase, view, digest } = statement;
    const key = keyOf(phase, proof.seal.signer);
    const said = this.#said.get(key);
    if (said === undefined || said.view < view) {
      this.#said.set(key, { view, digest, proof, accused: false });
      return null;
    }
    if (!this.contradicts(proof.seal.signer, statement)) return null;
    said.accused = true;
    return {
      first: { statement: { ...statement, digest: said.digest }, proof: said.proof },
      second: { statement, proof },
    };
  }
}

function keyOf(phase: Phase, signer: ValidatorIndex): string {
  return `${phase}/${signer}`;
}
