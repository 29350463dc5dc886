import type { Command } from "commander";

/** What `workflow` can do; the options that say which node are those of `workflow` itself. */
export function addWorkflowCommands(workflow: Command): void {
  workflow
    .command("start")
    .description("start a run; started again with the same steps, it is the same run")
    .argument("<run>", "its name: 1 to 64 letters, digits, dots, colons, hyphens and underscores")
    .argument("[file]", "its steps as JSON (docs/workflows.md); without it, standard input")
    .option("-w, --wait", "until it has ended (exit status 1 where it does not complete)")
    .action(async (run, file, _options, self) =>
      (await import("./workflow.ts")).startRun(run, file, self.optsWithGlobals()),
    );

  workflow
    .command("list")
    .description("all runs, in the order of their starts")
    .action(async (_options, self: Command) => (await import("./workflow.ts")).listRuns(self.optsWithGlobals()));

  workflow
    .command("show")
    .description("a run and its steps")
    .argument("<run>")
    .option("-w, --watch", "then a line for each change, to its end (exit status 1 where it does not complete)")
    .action(async (run, _options, self) => (await import("./workflow.ts")).showRun(run, self.optsWithGlobals()));

  workflow
    .command("output")
    .description("what a step gave, as it is")
    .argument("<run>")
    .argument("<step>")
    .action(async (run, step, _options, self) =>
      (await import("./workflow.ts")).printOutput(run, step, self.optsWithGlobals()),
    );

  workflow
    .command("cancel")
    .description("end a run: no step is claimed any more, and those under way can only stop")
    .argument("<run>")
    .argument("[reason]", "as its status shows it")
    .action(async (run, reason, _options, self) =>
      (await import("./workflow.ts")).cancelRun(run, reason, self.optsWithGlobals()),
    );
}
