import type { NodeId } from "../../crypto/identity.ts";
import type { LedgerCommand, LedgerRefusal } from "./ledger-command.ts";
import { isAccountName, type Owners, ownerOf } from "./owners.ts";

/** Why no state could let this command of this validator take effect; null where one could. Depends on the genesis alone. */
export function commandFault(command: LedgerCommand, creator: NodeId, owners: Owners): LedgerRefusal | null {
  const names = namesOf(command);
  const [speaker] = names;
  if (!names.every(isAccountName)) return "malformed-account";
  if (!owners.mayDebit(creator, speaker)) return "not-owner";
  if (command.kind === "approve") {
    if (command.account === command.spender) return "self-approval";
    return owners.isKnown(ownerOf(command.spender)) ? null : "unknown-owner";
  }
  if (command.amount === 0n) return "zero-amount";
  if (command.from === command.to) return "self-transfer";
  return owners.isKnown(ownerOf(command.to)) ? null : "unknown-owner";
}

/** The account in whose name a command speaks: its owner's lane is the only one that it may come in. */
export function speakerOf(command: LedgerCommand): string {
  return namesOf(command)[0];
}

/** All that it names, first the one in whose name it speaks. */
function namesOf(command: LedgerCommand): readonly [speaker: string, ...others: readonly string[]] {
  switch (command.kind) {
    case "transfer":
      return [command.from, command.to];
    case "approve":
      return [command.account, command.spender];
    case "transfer-from":
      return [command.spender, command.from, command.to];
  }
}
