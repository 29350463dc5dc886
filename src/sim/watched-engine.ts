import type { Effect, Engine, EngineEvent, EngineStatus } from "../consensus/engine.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";

export interface EngineWatcher {
  /** Before the effects of a step are performed. */
  onStep(event: EngineEvent<PbftMessage>, status: EngineStatus): void;
  /** Before this effect is performed; one that the loop never asks for is void. */
  onEffect(effect: Effect<PbftMessage>): void;
}

/** The very engine, with somebody who looks on. */
export function watched(engine: Engine<PbftMessage>, watcher: EngineWatcher): Engine<PbftMessage> {
  return {
    name: engine.name,
    dag: engine.dag,
    wire: engine.wire,
    step: (event) => {
      const effects = engine.step(event);
      watcher.onStep(event, engine.status());
      return effects.length === 0 ? effects : new WatchedEffects(effects, watcher);
    },
    screen: (from, message) => engine.screen(from, message),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
}

/** A list that tells which of its effects were asked for: the loop leaves the rest when an epoch ends among them. */
class WatchedEffects extends Array<Effect<PbftMessage>> {
  /** What is derived from it is a plain list. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  readonly #watcher: EngineWatcher;

  constructor(effects: readonly Effect<PbftMessage>[], watcher: EngineWatcher) {
    super();
    for (const effect of effects) this.push(effect);
    this.#watcher = watcher;
  }

  override *[Symbol.iterator](): ArrayIterator<Effect<PbftMessage>> {
    for (let index = 0; index < this.length; index++) {
      const effect = this[index];
      if (effect === undefined) return;
      this.#watcher.onEffect(effect);
      yield effect;
    }
  }
}
