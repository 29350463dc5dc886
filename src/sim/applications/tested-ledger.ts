import type { NodeId } from "../../crypto/identity.ts";
import { type LedgerCommand, encodeLedgerCommand } from "../../replication/ledger/ledger-command.ts";
import { encodeLedgerQuestion, LEDGER_LINES_MAX, type LedgerQuestion } from "../../replication/ledger/ledger-query.ts";
import { OrderedLedger } from "../../replication/ledger/ordered-ledger.ts";
import { Owners } from "../../replication/ledger/owners.ts";
import type { Random } from "../random.ts";
import { LedgerModel } from "./ledger-model.ts";
import type { TestedApplication } from "./tested-application.ts";

/** What each validator of genesis begins with: a few payments, and it is empty. */
const OPENING = 1_000n;

const AMOUNTS: readonly bigint[] = [1n, 40n, 40n, 300n, 300n, 900n, 0n];

/** Some are left by one owner only, some are never opened, one can never have an owner. */
const STRANGE: readonly string[] = ["nobody/main", "no account", "node-0/side"];

/** A ledger in which every process owns an account; the validators of genesis have names. */
export function testedLedger(nodeIds: readonly NodeId[], validators: number): TestedApplication {
  const owners = new Owners(nodeIds.slice(0, validators).map((nodeId, place) => ({ name: `node-${place}`, nodeId })));
  const accounts = nodeIds.map((nodeId) => `${owners.nameOf(nodeId)}/main`);
  const opening = new Map(accounts.slice(0, validators).map((account) => [account, OPENING]));
  return {
    name: "ledger",
    takeChanges: null,
    newApplication: () => new OrderedLedger({ accounts: opening, owners }),
    newModel: () => new LedgerModel(opening, owners),
    commandOf: (random, place) => {
      // Now and then somebody tries its hand at what is another's.
      const own = random.chance(0.9) ? (accounts[place] ?? random.pick(accounts)) : random.pick(accounts);
      return encodeLedgerCommand(commandBy(random, own, accounts));
    },
    questionOf: (random) => encodeLedgerQuestion(questionBy(random, accounts)),
  };
}

function commandBy(random: Random, own: string, accounts: readonly string[]): LedgerCommand {
  const anyone = (): string => (random.chance(0.05) ? random.pick(STRANGE) : random.pick(accounts));
  const amount = random.pick(AMOUNTS);
  const kind = random.pick(["transfer", "transfer", "approve", "transfer-from"] as const);
  if (kind === "transfer") {
    const number = random.chance(0.2) ? random.between(1, 4) : null;
    return { kind, from: own, to: anyone(), amount, number };
  }
  if (kind === "approve") {
    const expected = random.chance(0.3) ? random.pick(AMOUNTS) : null;
    return { kind, account: own, spender: anyone(), amount, expected };
  }
  return { kind, spender: own, from: anyone(), to: anyone(), amount };
}

function questionBy(random: Random, accounts: readonly string[]): LedgerQuestion {
  const account = random.pick(accounts);
  if (random.chance(0.5)) return { kind: "account", name: account };
  if (random.chance(0.5)) return { kind: "allowance", account, spender: random.pick(accounts) };
  return { kind: "accounts", prefix: "", from: null, limit: LEDGER_LINES_MAX };
}
