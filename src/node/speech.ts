import type { Epoch, Sequence, ValidatorIndex } from "../membership/ids.ts";
import type { Proof } from "../membership/seal.ts";
import type { Statement } from "../membership/statement.ts";
import type { ExecutionState } from "../replication/executor.ts";
import { Hearing, type HearingPorts } from "./hearing.ts";
import { type Remembered, StartGate, type StartGateOptions } from "./start-gate.ts";
import type { HeardStatement } from "./witnesses.ts";
import { isViewWord, Witnesses } from "./witnesses.ts";

export type SpeechPorts = Omit<HearingPorts, "gate"> &
  Pick<StartGateOptions, "ownNonce" | "onDagLane" | "onFree" | "remember">;

/** Whether this node may speak, and what it heard the others say: each is the other's witness. */
export class Speech {
  readonly #ports: SpeechPorts;
  readonly #gate: StartGate;
  readonly #hearing: Hearing;
  readonly #witnesses = new Witnesses();

  constructor(ports: SpeechPorts) {
    this.#ports = ports;
    this.#gate = new StartGate({ ...ports, log: ports.observer.log });
    this.#hearing = new Hearing({ ...ports, gate: this.#gate });
  }

  get isFree(): boolean {
    return this.#gate.isFree;
  }

  get isSilent(): boolean {
    return this.#gate.isSilent;
  }

  /** Why this node keeps silent although it is connected; null where it does not. */
  get reason(): string | null {
    return this.#gate.reason;
  }

  /** This node is, or becomes, a validator: it hears the others out before it says a word. */
  hearOut(remembered: Remembered): void {
    if (remembered.silence !== null) this.#gate.resume(remembered.silence);
    this.#gate.close(remembered);
    this.#hearing.ask();
  }

  /** A peer was heard of: it may be one that is to be asked. */
  onPeer(): void {
    this.#hearing.ask();
  }

  maySay({ phase, view }: Statement): boolean {
    if (this.#gate.isSilent) return false;
    return !isViewWord(phase) || this.#gate.maySayView(view);
  }

  /** A verified statement of the present epoch. */
  learn(statement: Statement, proof: Proof): void {
    const epoch: Epoch = this.#ports.network.set.epoch;
    this.#witnesses.learn({ epoch, statement, proof });
  }

  onExecuted(state: ExecutionState, stable: Sequence): void {
    this.#gate.onExecuted(state, stable);
  }

  votedUpTo(validator: ValidatorIndex): Sequence {
    return this.#witnesses.votedUpTo(validator);
  }

  heardOf(validator: ValidatorIndex): readonly HeardStatement[] {
    return this.#witnesses.of(validator);
  }
}
