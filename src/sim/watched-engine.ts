import type { Effect, Engine, EngineEvent, EngineStatus } from "../consensus/engine.ts";

export interface EngineWatcher<M> {
  /** Before the effects of a step are performed. */
  onStep(event: EngineEvent<M>, status: EngineStatus): void;
  /** Before this effect is performed; one that the loop never asks for is void. */
  onEffect(effect: Effect<M>): void;
}

/** The very engine, with somebody who looks on. */
export function watched<M>(engine: Engine<M>, watcher: EngineWatcher<M>): Engine<M> {
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
class WatchedEffects<M> extends Array<Effect<M>> {
  /** What is derived from it is a plain list. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** They may be watched themselves: who asks for one of these asks for one of those. */
  readonly #effects: readonly Effect<M>[];
  readonly #watcher: EngineWatcher<M>;

  constructor(effects: readonly Effect<M>[], watcher: EngineWatcher<M>) {
    super();
    effects.forEach((effect) => {
      this.push(effect);
    });
    this.#effects = effects;
    this.#watcher = watcher;
  }

  override *[Symbol.iterator](): ArrayIterator<Effect<M>> {
    for (const effect of this.#effects) {
      this.#watcher.onEffect(effect);
      yield effect;
    }
  }
}
