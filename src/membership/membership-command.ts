import type { Codec } from "../codec/codec.ts";
import { union, variant } from "../codec/composites.ts";
import type { NodeId } from "../crypto/identity.ts";
import { unreachable } from "../lib/assert.ts";
import { type Candidate, candidateCodec, candidateFault, nodeIdCodec } from "./candidate.ts";
import type { Obligation } from "./certificate.ts";
import { type Evidence, evidenceCodec, evidenceFault, obligationsOfEvidence } from "./evidence.ts";
import { type Observation, observationsCodec, observationsFault } from "./reputation.ts";
import type { NetworkContext } from "./validator-set.ts";

/** The sender approves that this node becomes (again) a validator. */
export interface Admit {
  readonly kind: "admit";
  readonly candidate: Candidate;
}

/** The sender approves this validator's removal. */
export interface Dismiss {
  readonly kind: "dismiss";
  readonly validator: NodeId;
}

/** What takes effect only with the approvals of a quorum. */
export type Change = Admit | Dismiss;

/**
 * What a validator says about the validator set through its own lane; one command is the payload of one vertex of a
 * membership bundle. Who says it is the bundle's creator. Evidence may come from anybody of the roster, since it stands
 * for itself; `leave` is about its sender.
 */
export type MembershipCommand =
  | { readonly kind: "evidence"; readonly evidence: Evidence }
  | Change
  | { readonly kind: "leave" }
  | { readonly kind: "report"; readonly observations: readonly Observation[] };

type Of<K extends MembershipCommand["kind"]> = Extract<MembershipCommand, { kind: K }>;

const admitCodec: Codec<Admit> = variant<Admit>("admit", { candidate: candidateCodec });
const dismissCodec: Codec<Dismiss> = variant<Dismiss>("dismiss", { validator: nodeIdCodec });

export const changeCodec: Codec<Change> = union<Change>({ admit: admitCodec, dismiss: dismissCodec });

export const membershipCommandCodec: Codec<MembershipCommand> = union<MembershipCommand>({
  evidence: variant<Of<"evidence">>("evidence", { evidence: evidenceCodec }),
  admit: admitCodec,
  dismiss: dismissCodec,
  leave: variant<Of<"leave">>("leave", {}),
  report: variant<Of<"report">>("report", { observations: observationsCodec }),
});

/**
 * Why this is no command, whoever says it and whenever; null where it is well formed. Cheap: no signature is checked,
 * `obligationsOfCommand` names those that must be. Whether a node or an index is of the roster is asked only where a key is
 * needed, and else when the command is executed: nodes that are an epoch apart should agree on what is well formed.
 */
export function commandFault(network: NetworkContext, command: MembershipCommand): string | null {
  switch (command.kind) {
    case "evidence":
      return evidenceFault(network, command.evidence);
    case "admit":
      return candidateFault(network, command.candidate);
    case "report":
      return observationsFault(command.observations);
    case "dismiss":
    case "leave":
      return null;
    default:
      return unreachable(command);
  }
}

/** The signature checks that a command rests on, beside that of the bundle that carries it. */
export function obligationsOfCommand(network: NetworkContext, command: MembershipCommand): readonly Obligation[] {
  return command.kind === "evidence" ? obligationsOfEvidence(network, command.evidence) : [];
}
