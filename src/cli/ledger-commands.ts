import type { Command } from "commander";
import { wholeNumber } from "./whole-number.ts";

const LOCAL = ["--local", "from this node's state as it is: quick, may lag"] as const;

/** What `ledger` can do beside its summary; the options that say which node are those of `ledger` itself. */
export function addLedgerCommands(ledger: Command): void {
  ledger
    .command("balance")
    .description("an account's balance, its next number, and what waits")
    .argument("<account>", "<owner>/<account>, such as node-1/main")
    .option(...LOCAL)
    .action(async (account, _options, self) =>
      (await import("./ledger.ts")).printAccount(account, self.optsWithGlobals()),
    );

  ledger
    .command("accounts")
    .description("accounts by name, a line each: balance, name (total order only)")
    .argument("[prefix]", "of the names, such as node-1/")
    .option("-l, --limit <count>", "the most accounts (default: all)", wholeNumber)
    .option(...LOCAL)
    .action(async (prefix, _options, self) =>
      (await import("./ledger.ts")).listAccounts(prefix, self.optsWithGlobals()),
    );

  ledger
    .command("allowances")
    .description("what spenders may move of an account, a line each: amount, spender (total order only)")
    .argument("<account>", "whose units")
    .argument("[spender]", "this one alone, also where it may move nothing")
    .option(...LOCAL)
    .action(async (account, spender, _options, self) =>
      (await import("./ledger.ts")).listAllowances(account, spender, self.optsWithGlobals()),
    );

  withName(ledger.command("transfer"))
    .description("move units from an account of the validator that is asked")
    .argument("<from>", "an account of that validator")
    .argument("<to>", "any account")
    .argument("<amount>", "units, 1 to 2^64 - 1")
    .option("--number <number>", "the transfer's number at its account (default: the next one)", wholeNumber)
    .option("--no-wait", "return when it is durable at the node, before it is final (without a total order)")
    .action(async (from, to, amount, _options, self) =>
      (await import("./ledger-writes.ts")).transfer({ from, to, amount }, self.optsWithGlobals()),
    );

  withName(ledger.command("approve"))
    .description("let a spender move units of an account of the validator that is asked (total order only)")
    .argument("<account>", "an account of that validator")
    .argument("<spender>", "the account whose owner may move them")
    .argument("<amount>", "units, in place of what was allowed before; 0 for none")
    .option("--expected <amount>", "only if this is what is left of the allowance now")
    .action(async (account, spender, amount, _options, self) =>
      (await import("./ledger-writes.ts")).approve({ account, spender, amount }, self.optsWithGlobals()),
    );

  withName(ledger.command("transfer-from"))
    .description("move another account's units, as far as a spender is allowed to (total order only)")
    .argument("<spender>", "an account of the validator that is asked")
    .argument("<from>", "whose units")
    .argument("<to>", "any account")
    .argument("<amount>", "units, 1 to 2^64 - 1")
    .action(async (spender, from, to, amount, _options, self) =>
      (await import("./ledger-writes.ts")).transferFrom({ spender, from, to, amount }, self.optsWithGlobals()),
    );
}

/** The name of a command, for who sends one again. */
function withName(write: Command): Command {
  return write
    .option("--client <hex>", "32 digits, with --command-number: the same command sent again takes effect once")
    .option("--command-number <number>", "the client's number of this command, from 1", wholeNumber);
}
