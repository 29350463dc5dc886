import { encode } from "../codec/codec.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import { type MembershipCommand, membershipCommandCodec } from "../membership/membership-command.ts";
import type { Execution } from "../replication/executor.ts";
import type { StoredBundle } from "./ledger.ts";
import type { Clock } from "./ports.ts";
import { NodeError, type ProposalOutcome, type ProposedChange } from "./service.ts";

/** An operator has few at hand; each is 3 kB in a lane that clients need too. */
const WAITING_MAX = 16;

/** A view change and its time-outs fit in; who waits longer should look at the state instead. */
const ORDERED_MS_MAX = 30_000;

export interface ProposalPorts {
  readonly clock: Clock;
  /** Says a command in the own lane; false where it cannot. */
  say(command: MembershipCommand): boolean;
}

/** What operators wait for: each word said here, until it is ordered. */
export class Proposals {
  readonly #ports: ProposalPorts;
  /** By the command's bytes: who says the same again waits for the same word. */
  readonly #waiting = new Map<string, PromiseWithResolvers<ProposalOutcome>>();

  constructor(ports: ProposalPorts) {
    this.#ports = ports;
  }

  /** The caller has made sure that the change makes sense. Rejects with NodeError `overloaded`, `not-ready`, `timeout`. */
  async propose(change: ProposedChange): Promise<ProposalOutcome> {
    const command = commandOf(change);
    const key = encode(membershipCommandCodec, command).toHex();
    const known = this.#waiting.get(key);
    if (known !== undefined) return await known.promise;
    if (this.#waiting.size >= WAITING_MAX) {
      throw new NodeError("overloaded", `${WAITING_MAX} changes wait to be ordered: try again shortly`, {
        retryAfterMs: 1_000,
      });
    }
    const waiting = Promise.withResolvers<ProposalOutcome>();
    this.#waiting.set(key, waiting);
    const { clock } = this.#ports;
    const cancel = clock.setTimer(clock.monotonicMs() + ORDERED_MS_MAX, () => {
      const reason = `said, and not ordered within ${ORDERED_MS_MAX} ms; it still counts when it is: look at the validators`;
      waiting.reject(new NodeError("timeout", reason));
    });
    try {
      if (!this.#ports.say(command)) throw new NodeError("not-ready", "this node cannot speak now: try again shortly");
      return await waiting.promise;
    } finally {
      cancel();
      this.#waiting.delete(key);
    }
  }

  /** @param self the index that this node had when it said what was executed; null where it had none */
  onExecuted(execution: Execution, bundles: readonly StoredBundle[], self: ValidatorIndex | null): void {
    let place = 0;
    for (const { held } of bundles) {
      if (held.bundle.purpose !== "membership") continue;
      for (const payload of held.bundle.payloads) {
        const note = execution.notes[place++];
        if (held.ref.creator !== self || this.#waiting.size === 0) continue;
        if (note === undefined || note.command === "evidence" || note.command === "report") continue;
        const { command: kind, result, reason } = note;
        const { sequence: batch, epoch } = execution.state;
        this.#waiting.get(payload.toHex())?.resolve({ kind, result, reason, batch, epoch });
      }
    }
  }

  /** The node stops, or is a validator no more: what waits is not ordered any more. */
  failAll(error: NodeError): void {
    for (const { reject } of this.#waiting.values()) reject(error);
  }
}

function commandOf(change: ProposedChange): MembershipCommand {
  switch (change.kind) {
    case "admit":
      return { kind: "admit", candidate: change.candidate };
    case "dismiss":
      return { kind: "dismiss", validator: change.nodeId };
    case "leave":
      return { kind: "leave" };
  }
}
