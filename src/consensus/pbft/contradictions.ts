import type { Hash } from "../../lib/hash.ts";
import type { Equivocation } from "../../membership/equivocation.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import type { Phase, Statement } from "../../membership/statement.ts";

interface Said {
  readonly digest: Hash;
  readonly proof: Proof;
}

/** Views of one validator that are remembered: its newest, which is where its other version turns up soon after. */
const VIEWS_REMEMBERED = 16;

/**
 * What each validator said of the views that it wanted (view-change) or made (new-view): a correct one says one thing for
 * each view, durable before it leaves, so two are evidence. Votes for places are compared where they are counted.
 */
export class Contradictions {
  /** By phase and signer, then by view in the order of arrival. Bounded: validators times views remembered. */
  readonly #said = new Map<string, Map<number, Said>>();
  readonly #accused = new Set<ValidatorIndex>();

  /** Whether this statement contradicts what its signer is known to have said, and none was reported yet. */
  contradicts(signer: ValidatorIndex, { phase, view, digest }: Statement): boolean {
    const said = this.#said.get(keyOf(phase, signer))?.get(view);
    return said !== undefined && said.digest !== digest && !this.#accused.has(signer);
  }

  /** Takes note of a verified statement; answers the evidence where it contradicts an earlier one, once for each signer. */
  learn(statement: Statement, proof: Proof): Equivocation | null {
    const { phase, view, digest } = statement;
    const { signer } = proof.seal;
    const key = keyOf(phase, signer);
    const views = this.#said.get(key) ?? new Map<number, Said>();
    this.#said.set(key, views);
    const said = views.get(view);
    if (said === undefined) {
      views.set(view, { digest, proof });
      const oldest = views.keys().next();
      if (views.size > VIEWS_REMEMBERED && oldest.done !== true) views.delete(oldest.value);
      return null;
    }
    if (!this.contradicts(signer, statement)) return null;
    this.#accused.add(signer);
    return {
      first: { statement: { ...statement, digest: said.digest }, proof: said.proof },
      second: { statement, proof },
    };
  }
}

function keyOf(phase: Phase, signer: ValidatorIndex): string {
  return `${phase}/${signer}`;
}
