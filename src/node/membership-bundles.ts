import { decode } from "../codec/codec.ts";
import type { Bundle } from "../dag/bundle.ts";
import { obligationsOfReport, type Report, reportCodec, reportFault } from "../dag/report.ts";
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

/** The reports of a bundle of purpose `resolution`, in order; nothing for any other. @throws DecodeError */
export function reportsOf({ purpose, payloads }: Bundle): readonly Report[] {
  return purpose === "resolution" ? payloads.map((payload) => decode(reportCodec, payload)) : [];
}

export type CommandVerdict =
  | { readonly kind: "accept"; readonly obligations: readonly Obligation[] }
  /** A node that lags may not know yet what a command speaks of: it is asked for again when its place is ordered. */
  | { readonly kind: "ignore"; readonly reason: string }
  | { readonly kind: "reject"; readonly reason: string };

/**
 * Whether a bundle's commands and reports may be held, and so voted for: each is well formed, and each signature inside holds. What a
 * quorum held needs no second check when it is executed.
 */
export function commandVerdict(network: NetworkContext, bundle: Bundle): CommandVerdict {
  const obligations: Obligation[] = [];
  let commands: readonly MembershipCommand[];
  let reports: readonly Report[];
  try {
    commands = commandsOf(bundle);
    reports = reportsOf(bundle);
  } catch (error) {
    return { kind: "reject", reason: `malformed-command: ${String(error)}` };
  }
  for (const command of commands) {
    const fault = commandFault(network, command);
    if (fault !== null) return { kind: "ignore", reason: `command-not-understood: ${fault}` };
    obligations.push(...obligationsOfCommand(network, command));
  }
  for (const report of reports) {
    const fault = reportFault(network, report);
    if (fault !== null) return { kind: "ignore", reason: `report-not-understood: ${fault}` };
    obligations.push(...obligationsOfReport(network, report));
  }
  return { kind: "accept", obligations };
}
