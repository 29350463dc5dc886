import type { Effect, Engine, EngineEvent, EngineStatus } from "../consensus/engine.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";

export interface EngineWatcher {
  /** Before the effects are performed. */
  onStep(event: EngineEvent<PbftMessage>, effects: readonly Effect<PbftMessage>[], status: EngineStatus): void;
}

/** The very engine, with somebody who looks on. */
export function watched(engine: Engine<PbftMessage>, watcher: EngineWatcher): Engine<PbftMessage> {
  return {
    name: engine.name,
    wire: engine.wire,
    step: (event) => {
      const effects = engine.step(event);
      watcher.onStep(event, effects, engine.status());
      return effects;
    },
    screen: (from, message) => engine.screen(from, message),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
}
