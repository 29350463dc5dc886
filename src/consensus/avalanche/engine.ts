import type { Batch } from "../../dag/batch.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { DagView } from "../dag-engine.ts";
import type { Effect, Engine, EngineEvent, EngineStatus, EngineWire, Verdict } from "../engine.ts";
import { AvalancheCore, type CoreOptions } from "./core.ts";
import {
  type AvalancheMessage,
  decodeMessage,
  encodeMessage,
  isAvalancheBytes,
  isAvalancheMessage,
  statementOf,
} from "./messages.ts";

export interface AvalancheOptions<O> extends CoreOptions {
  /** Orders what the validators say about their own set and about open conflicts; this engine never looks inside. */
  readonly order: Engine<O>;
}

/**
 * Avalanche (Rocket et al., arXiv 1906.08936) over the DAG, with certificates (docs/decisions/0006), beside the engine that
 * orders control words. The two share nothing but the events' door: what is ordered comes back as `resolutions`.
 *
 * Safety invariant: no two correct validators accept conflicting vertices, while at most f of n lie.
 */
export class AvalancheEngine<O> implements Engine<O | AvalancheMessage> {
  readonly name = "avalanche";
  readonly wire: EngineWire<O | AvalancheMessage>;
  readonly dag: DagView;
  readonly #core: AvalancheCore;
  readonly #order: Engine<O>;

  constructor({ order, ...options }: AvalancheOptions<O>) {
    this.#order = order;
    this.#core = new AvalancheCore(options);
    this.dag = this.#core;
    this.wire = {
      encode: (message) => (isAvalancheMessage(message) ? encodeMessage(message) : order.wire.encode(message)),
      decode: (bytes) => (isAvalancheBytes(bytes) ? decodeMessage(bytes) : order.wire.decode(bytes)),
      statementOf: (message) => (isAvalancheMessage(message) ? statementOf(message) : order.wire.statementOf(message)),
      obligationsOf: (message) => (isAvalancheMessage(message) ? [] : order.wire.obligationsOf(message)),
    };
  }

  step(event: EngineEvent<O | AvalancheMessage>): readonly Effect<O | AvalancheMessage>[] {
    switch (event.kind) {
      case "message": {
        const { message, proof } = event.signed;
        if (isAvalancheMessage(message)) return this.#core.onMessage({ message, proof }, event.nowMs);
        return this.#order.step(event as EngineEvent<O>);
      }
      case "timer":
        return event.name === "poll" || event.name === "patience"
          ? this.#core.onTimer(event.name, event.nowMs)
          : this.#order.step(event);
      case "dag-bundles":
      case "dag-claims":
      case "dag-sync-failed":
      case "resolutions":
        return this.#core.onEvent(event);
      case "start":
        return [...this.#order.step(event), ...this.#core.start(event.nowMs)];
      case "peer-connected":
        return [...this.#order.step(event), ...this.#core.onPeerConnected(event.peer, event.nowMs)];
      default:
        return this.#order.step(event);
    }
  }

  screen(from: ValidatorIndex, message: O | AvalancheMessage): Verdict {
    return isAvalancheMessage(message) ? this.#core.screen(message) : this.#order.screen(from, message);
  }

  /** The ordered engine's; `dag.status` tells of this one. */
  status(): EngineStatus {
    return this.#order.status();
  }

  batchOf(digest: Hash): Batch | undefined {
    return this.#order.batchOf(digest);
  }
}
