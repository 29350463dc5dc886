import type { CommittedSlot } from "../consensus/engine.ts";
import type { ExecutedSlot, Executing } from "./executing.ts";
import type { LoopOptions } from "./loop-options.ts";
import type { Outbox } from "./outbox.ts";

export interface FinalizingPorts extends Pick<LoopOptions<never>, "replication" | "proofs" | "onExecuted"> {
  readonly executing: Executing;
  readonly outbox: Outbox;
  /** What goes on beside the turns; the node fails where it does. */
  background(work: Promise<void>): void;
}

/** Executes a committed place, with all that others are to know of it once it is durable. */
export function finalize(slot: CommittedSlot, ports: FinalizingPorts): ExecutedSlot {
  const { executing, outbox, replication, proofs } = ports;
  const done = executing.run(slot, outbox.writes());
  const { execution, bundles, effects } = done;
  const { state, membership } = execution;
  proofs.onExecuted(slot, execution, outbox.writes());
  outbox.whenDurable(() => {
    ports.onExecuted(execution, slot, bundles);
    if (effects === null) return;
    const held = bundles.map((stored) => stored.held);
    replication?.onDurable(execution, held, effects);
  });
  if (replication !== null) ports.background(replication.maybeSnapshot({ execution: state, membership }));
  return done;
}
