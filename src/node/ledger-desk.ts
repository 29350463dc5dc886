import type { NodeId } from "../crypto/identity.ts";
import { commandFault, speakerOf } from "../replication/ledger/command-fault.ts";
import { LEDGER_REFUSALS, type LedgerCommand } from "../replication/ledger/ledger-command.ts";
import { ACCOUNT_NAME_RULE, isAccountName, type Owners, ownerOf } from "../replication/ledger/owners.ts";
import { NodeError, type OrderedLedgerService } from "./service.ts";

/** The ledger of a network with a total order, at this node: who it speaks for. The state is the replicated application's. */
export class LedgerDesk implements OrderedLedgerService {
  readonly order = "total";
  readonly #owners: Owners;
  readonly #self: NodeId;

  constructor(owners: Owners, self: NodeId) {
    this.#owners = owners;
    this.#self = self;
  }

  isAccount(name: string): boolean {
    return isAccountName(name) && this.#owners.isKnown(ownerOf(name));
  }

  isOwn(name: string): boolean {
    return isAccountName(name) && this.#owners.mayDebit(this.#self, name);
  }

  check(command: LedgerCommand): void {
    const fault = commandFault(command, this.#self, this.#owners);
    if (fault === null) return;
    if (fault === "not-owner") {
      const own = `this node owns ${this.#owners.nameOf(this.#self)}/...`;
      throw new NodeError("not-owner", `${speakerOf(command)} belongs to another node, ask that one: ${own}`);
    }
    const rule = fault === "malformed-account" ? `: ${ACCOUNT_NAME_RULE}` : "";
    throw new NodeError("malformed-transfer", `${LEDGER_REFUSALS[fault]}${rule}`);
  }
}
