import type { Hash } from "../lib/hash.ts";
import type { ExecutionState } from "../replication/executor.ts";
import { AcceptanceProofs } from "./acceptance-proofs.ts";
import type { DagLedger } from "./dag-ledger.ts";
import { FinalityProofs } from "./finality-proofs.ts";
import type { Ledger } from "./ledger.ts";
import type { NodeError } from "./service.ts";
import { StateProofs, type StateProofsPorts } from "./state-proofs.ts";

/** What of a node proofs are made of. */
export interface ProofSources {
  readonly epochs: StateProofsPorts["epochs"];
  readonly ledger: Ledger;
  /** Null in a network that orders everything. */
  readonly dag: { readonly ledger: DagLedger } | null;
  readonly desk: { conflictOf(vertex: Hash): Promise<NodeError> } | null;
  /** The state that the node begins with. */
  readonly execution: ExecutionState;
}

/** All that a node can show to those who trust no node. */
export function openProofs(
  ports: Omit<StateProofsPorts, "epochs" | "acceptance">,
  { epochs, ledger, dag, desk, execution }: ProofSources,
): FinalityProofs {
  const whyRejected = async (vertex: Hash): Promise<string> => {
    return (await desk?.conflictOf(vertex))?.message ?? `vertex ${vertex} is rejected for good`;
  };
  const acceptance = dag === null ? null : new AcceptanceProofs({ ...ports, epochs, ledger: dag.ledger, whyRejected });
  const states = new StateProofs({ ...ports, epochs, acceptance }, execution);
  return new FinalityProofs({ ledger, states, genesis: epochs.network.genesis });
}
