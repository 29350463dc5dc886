import type { Command } from "commander";
import { wholeNumber } from "./whole-number.ts";

/** What `kv` can do; the options that say which node are those of `kv` itself. */
export function addKvCommands(kv: Command): void {
  kv.command("get")
    .description("print a key's value, as it is")
    .argument("<key>", "1 to 512 bytes of text")
    .option("--local", "from this node's state as it is: quick, may lag")
    .action(async (key, _options, self) => (await import("./kv.ts")).getKey(key, self.optsWithGlobals()));

  withName(kv.command("put"))
    .description("write a key; it takes effect once, however often it must be sent")
    .argument("<key>", "1 to 512 bytes of text")
    .argument("[value]", "a text; without it, --file or standard input")
    .option("-f, --file <file>", "the value is this file")
    .action(async (key, value, _options, self) => (await import("./kv.ts")).putKey(key, value, self.optsWithGlobals()));

  withName(kv.command("delete"))
    .description("delete a key; one that is not there stays so")
    .argument("<key>")
    .action(async (key, _options, self) => (await import("./kv.ts")).deleteKey(key, self.optsWithGlobals()));

  withName(kv.command("cas"))
    .description("write a key if it still is of a version, or absent (exit status 1 if not)")
    .argument("<key>")
    .argument("<expected>", 'the version that `kv get --json` says, or "absent"')
    .argument("[value]", "a text; without it, --file or standard input")
    .option("-f, --file <file>", "the value is this file")
    .option("--delete", "delete the key instead")
    .action(async (key, expected, value, _options, self) =>
      (await import("./kv.ts")).compareAndSet(key, expected, value, self.optsWithGlobals()),
    );

  kv.command("list")
    .description("keys in their order, a line each: version, key, value")
    .argument("[prefix]", "of the keys")
    .option("--from <key>", "the lowest, inclusive")
    .option("--to <key>", "the end, exclusive")
    .option("-l, --limit <count>", "the most keys (default: all)", wholeNumber)
    .option("-r, --reverse", "from the highest key down")
    .option("--local", "from this node's state as it is: quick, may lag")
    .action(async (prefix, _options, self) => (await import("./kv.ts")).listKeys(prefix, self.optsWithGlobals()));

  kv.command("watch")
    .description("print changes as they happen, a line each: position, key, value")
    .argument("[prefix]", "of the keys")
    .option(
      "--from <position>",
      "also what happened from this position on; the node keeps the last 10,000",
      wholeNumber,
    )
    .option("-l, --limit <count>", "end after as many", wholeNumber)
    .action(async (prefix, _options, self) =>
      (await import("./kv-watch.ts")).watchKeys(prefix, self.optsWithGlobals()),
    );
}

/** The name of a write, for who sends one again. */
function withName(write: Command): Command {
  return write
    .option("--client <hex>", "32 digits, with --number: the same write sent again takes effect once")
    .option("--number <number>", "the client's number of this write, from 1", wholeNumber);
}
