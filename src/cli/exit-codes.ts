/** What the exit status of a command means; `--help` lists them. */
export const EXIT = {
  ok: 0,
  /** The command ran and did not succeed. */
  failed: 1,
  /** The words of the command line are off. */
  usage: 2,
  /** No node answers there. */
  unreachable: 3,
  /** The node answers and cannot finalize now, or did not in time. */
  notReady: 4,
} as const;

export const EXIT_HELP = `
Exit status: 0 done, 1 failed, 2 wrong usage, 3 no node answers, 4 the node cannot finalize (now, or in time)`;

/** A command's failure, said to the user in one sentence and with an exit status. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
