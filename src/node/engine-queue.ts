import type { Effect, Engine, EngineEvent } from "../consensus/engine.ts";

export interface EngineQueuePorts<M> {
  /** The engine of the present epoch. */
  engine(): Engine<M>;
  perform(effect: Effect<M>): void;
  isStopped(): boolean;
  onFailure(error: unknown): void;
}

/**
 * What the engine hears, one event after the other.
 *
 * Invariant: between two events nothing else touches the engine; effects of one event are performed before the next event.
 */
export class EngineQueue<M> {
  readonly #ports: EngineQueuePorts<M>;
  readonly #events: EngineEvent<M>[] = [];
  #stepping = false;
  #held = false;

  constructor(ports: EngineQueuePorts<M>) {
    this.#ports = ports;
  }

  feed(event: EngineEvent<M>): void {
    if (this.#ports.isStopped()) return;
    this.#events.push(event);
    if (this.#stepping || this.#held) return;
    this.#stepping = true;
    try {
      while (!this.#held) {
        const next = this.#events.shift();
        if (next === undefined) break;
        const engine = this.#ports.engine();
        for (const effect of engine.step(next)) {
          this.#ports.perform(effect);
          // What an engine wants after the end of its epoch is void.
          if (engine !== this.#ports.engine()) break;
        }
      }
    } catch (error) {
      this.#ports.onFailure(error);
    } finally {
      this.#stepping = false;
    }
  }

  /** From now on events wait: one engine has said its last, and the next one is being made of what it left. */
  hold(): void {
    this.#held = true;
  }

  /** The next engine is there; answers what waited for it. */
  release(): readonly EngineEvent<M>[] {
    this.#held = false;
    return this.#events.splice(0);
  }

  /** What waits was meant for an engine that is no more; answers it. */
  clear(): readonly EngineEvent<M>[] {
    return this.#events.splice(0);
  }
}
