import { encode } from "../codec/codec.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import { evidenceOf } from "../membership/evidence.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import { type MembershipCommand, membershipCommandCodec } from "../membership/membership-command.ts";
import type { Epochs } from "./epochs.ts";

export interface AccuserPorts {
  /** An observer has no lane, and can only watch. */
  readonly epochs: Pick<Epochs<unknown>, "network" | "membership" | "ownLane">;
  /** The next turn has something to gather. */
  wake(): void;
}

/**
 * Carries what this node holds against a validator into the total order: a membership command in its own lane is spread,
 * stored and ordered like every bundle, so that all nodes judge it at the same sequence.
 */
export class Accuser {
  readonly #ports: AccuserPorts;
  /** Whom this node has accused already: one lie is enough, and a liar must not fill its accusers' lanes. */
  readonly #accused = new Set<ValidatorIndex>();

  constructor(ports: AccuserPorts) {
    this.#ports = ports;
  }

  /** Whether this node has nothing to gain from another proof against it. */
  isAccused(signer: ValidatorIndex): boolean {
    return this.#accused.has(signer) || this.#isConvicted(signer);
  }

  /** Answers whether this is the first that this node says against its signer. */
  accuse(equivocation: Equivocation): boolean {
    const { signer } = equivocation.first.proof.seal;
    if (this.isAccused(signer)) return false;
    const evidence = evidenceOf(this.#ports.epochs.network.set.epoch, equivocation);
    if (!this.say({ kind: "evidence", evidence })) return false;
    this.#accused.add(signer);
    return true;
  }

  /** Says a command in the own lane; false for an observer, and where too many wait. */
  say(command: MembershipCommand): boolean {
    const said = this.#ports.epochs.ownLane?.command(encode(membershipCommandCodec, command, 16_384)) ?? false;
    if (said) this.#ports.wake();
    return said;
  }

  #isConvicted(signer: ValidatorIndex): boolean {
    const entry = this.#ports.epochs.membership.entries[signer];
    return entry === undefined || entry.standing === "convicted" || entry.condemned === "evidence";
  }
}
