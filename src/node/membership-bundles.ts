import { decode } from "../codec/codec.ts";
import type { Bundle } from "../dag/bundle.ts";
import type { Obligation } from "../membership/certificate.ts";
import {
  commandFault,
  type MembershipCommand,
  membershipCommandCodec,
  obligationsOfCommand,
} from "../membership/membership-command.ts";
import type { NetworkContext } from "../membership/validator-set.ts";

/** What a membership bundle says, in order; nothing for a bundle of clients' payloads. @throws DecodeError */
export function commandsOf({ purpose, payloads }: Bundle): readonly MembershipCommand[] {
  return purpose === "membership" ? payloads.map((payload) => decode(membershipCommandCodec, payload)) : [];
}

export type CommandVerdict =
  | { readonly kind: "accept"; readonly obligations: readonly Obligation[] }
  /** A node that lags may not know yet what a command speaks of: it is asked for again when its place is ordered. */
  | { readonly kind: "ignore"; readonly reason: string }
  | { readonly kind: "reject"; readonly reason: string };

/**
 * Whether a bundle's commands may be held, and so voted for: each is well formed, and each signature inside holds. What a
 * quorum held needs no second check when it is executed.
 */
export function commandVerdict(network: NetworkContext, bundle: Bundle): CommandVerdict {
  if (bundle.purpose === "application") return { kind: "accept", obligations: [] };
  const obligations: Obligation[] = [];
  let commands: readonly MembershipCommand[];
  try {
    commands = commandsOf(bundle);
  } catch (error) {
    return { kind: "reject", reason: `malformed-command: ${String(error)}` };
  }
  for (const command of commands) {
    const fault = commandFault(network, command);
    if (fault !== null) return { kind: "ignore", reason: `command-not-understood: ${fault}` };
    obligations.push(...obligationsOfCommand(network, command));
  }
  return { kind: "accept", obligations };
}
