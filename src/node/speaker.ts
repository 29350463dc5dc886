import type { Verified } from "../consensus/engine.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { Proof, Signed } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import type { Epochs } from "./epochs.ts";
import { listOf, type Receivers } from "./frames.ts";
import type { Outbox } from "./outbox.ts";
import type { Speech } from "./speech.ts";
import type { SealVerification } from "./verification.ts";

export interface SpeakerPorts<M> {
  readonly epochs: Epochs<M>;
  readonly outbox: Outbox;
  readonly verification: SealVerification;
  maySay: Speech["maySay"];
  /** What this node said comes back to it as a message of its own. */
  hear(signed: Verified<Signed<M>>): void;
}

/** Puts what the engine says into the turn. */
export class Speaker<M> {
  readonly #ports: SpeakerPorts<M>;

  constructor(ports: SpeakerPorts<M>) {
    this.#ports = ports;
  }

  /** Says it to all, or to those that are named; nothing where none is. */
  say(message: M, to: Receivers): void {
    const { epochs, outbox, verification, hear } = this.#ports;
    const { engine, network, self } = epochs;
    if (to !== "all" && listOf(to).length === 0) return;
    const statement = engine.wire.statementOf(message);
    if (!this.#ports.maySay(statement)) return;
    const leaf = statementDigest(network, statement);
    const isOwn = to === "all" || to === self;
    const onSent = (proof: Proof): void => {
      // A vote comes back to the engine that cast it, and to no later one.
      if (engine === epochs.engine) hear(verification.mint({ message, proof }));
    };
    const body = engine.wire.encode(message);
    outbox.say({ lane: "consensus", leaf, body, to, onSealed: null, onSent: isOwn ? onSent : null });
  }

  /** Passes on another's signed message as it is. */
  relay({ message, proof }: Signed<M>, to: ValidatorIndex): void {
    const { epochs, outbox } = this.#ports;
    if (epochs.self === null) return;
    const messages = [{ body: epochs.engine.wire.encode(message), proof }];
    outbox.tell("consensus", to, { kind: "relayed", epoch: epochs.network.set.epoch, messages });
  }
}
