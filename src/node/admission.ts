import type { NodeId } from "../crypto/identity.ts";
import { isConvicted } from "../membership/membership-entry.ts";
import { type MembershipState, validatorSetOf } from "../membership/membership-state.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import type { PeerRole } from "./ports.ts";

export interface AdmissionOptions {
  readonly acceptObservers: boolean;
  readonly isBanned: (peer: NodeId) => boolean;
}

/**
 * Who may connect, and as what. Whoever was a validator may go on following, also where no observers are let in: who left
 * learns so that it did, and who was absent can come back. Only liars may not.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  #set: ValidatorSet;
  #members: ReadonlySet<NodeId>;

  constructor(set: ValidatorSet, options: AdmissionOptions) {
    this.#options = options;
    this.#set = set;
    this.#members = new Set(set.roster.map(({ nodeId }) => nodeId));
  }

  /** The validators of the epoch that goes on. */
  get set(): ValidatorSet {
    return this.#set;
  }

  follow(membership: MembershipState): void {
    this.#set = validatorSetOf(membership);
    const welcome = membership.entries.filter((entry) => !isConvicted(entry));
    this.#members = new Set(welcome.map(({ nodeId }) => nodeId));
  }

  /** Null refuses the connection. */
  roleOf(peer: NodeId): PeerRole | null {
    const { isBanned, acceptObservers } = this.#options;
    if (isBanned(peer)) return null;
    if (this.#set.indexOf(peer) !== null) return "validator";
    return this.#members.has(peer) || acceptObservers ? "observer" : null;
  }
}
