import { CretoError } from "./creto-error.ts";
import { ByteReader } from "./workflow-bytes.ts";

/** Why the network refused, in the order of their numbers on the wire. */
const REFUSALS = [
  "malformed",
  "no-steps",
  "duplicate-step",
  "unknown-dependency",
  "duplicate-dependency",
  "cycle",
  "run-exists",
  "unknown-run",
  "unknown-step",
  "run-ended",
  "already-completed",
  "lease-lost",
  "run-too-large",
  "full",
] as const;

export type WorkflowRefusal = (typeof REFUSALS)[number];

/** The network's answer to a command that it refused, for good: it changed nothing. Its `code` is `workflow-refused`. */
export class WorkflowRefused extends CretoError {
  readonly refusal: WorkflowRefusal;
  /** The place of the step in its run's definition, from 0; null where it is about none. */
  readonly step: number | null;
  /** The place among the step's dependencies; null where it is about none. */
  readonly dependency: number | null;
  /** The step's last attempt, where it is about a lease or a completion. */
  readonly attempt: number | null;

  /** @param detail as the network sent it */
  constructor(reason: string, detail: Uint8Array) {
    super("workflow-refused", reason);
    const reader = new ByteReader(detail);
    this.refusal = reader.word(REFUSALS);
    this.step = reader.option(() => reader.u32());
    this.dependency = reader.option(() => reader.u32());
    this.attempt = reader.option(() => reader.u64());
  }
}
