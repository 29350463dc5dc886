import type { Engine, EngineEvent } from "../../consensus/engine.ts";
import { PbftEngine } from "../../consensus/pbft/engine.ts";
import type { PbftMessage, ViewChange } from "../../consensus/pbft/messages.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import { edited, isEnd } from "../attacks.ts";
import type { RunOptions } from "../run.ts";

/** Production's engine with one rule broken, by what is done to its events and effects from outside. */

type Planted = NonNullable<RunOptions["makeEngine"]>;

/** Rows of this kind never reach the disk. */
export function forgetting(prefix: string): Planted {
  return (options) =>
    edited(new PbftEngine(options), (effect) => {
      if (effect.kind !== "persist") return [effect];
      return [{ ...effect, writes: effect.writes.filter(({ key }) => !key.startsWith(prefix)) }];
    });
}

export function rewriting(rewrite: (message: ViewChange) => ViewChange): Planted {
  return (options) =>
    edited(new PbftEngine(options), (effect) => {
      if (effect.kind !== "broadcast" && effect.kind !== "send") return [effect];
      const { message } = effect;
      return message.kind === "view-change" ? [{ ...effect, message: rewrite(message) }] : [effect];
    });
}

/** Believes whatever a new-view message claims of others. */
export const credulous: Planted = (options) => {
  const engine = new PbftEngine(options);
  const { wire } = engine;
  return changed(engine, {
    wire: {
      encode: (message) => wire.encode(message),
      decode: (bytes) => wire.decode(bytes),
      statementOf: (message) => wire.statementOf(message),
      obligationsOf: (message) => (message.kind === "new-view" ? [] : wire.obligationsOf(message)),
    },
  });
};

/** Prepares every proposal, also the second one for a place. */
export const agreeable: Planted = (options) => {
  const said = new Map<string, Hash>();
  return edited(new PbftEngine(options), (effect, event) => {
    if (effect.kind === "broadcast" && effect.message.kind === "prepare") {
      said.set(placeOf(effect.message), effect.message.digest);
    }
    if (!isEnd(effect) || event.kind !== "message" || event.signed.message.kind !== "pre-prepare") return [effect];
    const { view, sequence, digest } = event.signed.message;
    const before = said.get(placeOf(event.signed.message));
    if (before === undefined || before === digest) return [effect];
    return [effect, { kind: "broadcast", message: { kind: "prepare", view, sequence, digest } }];
  });
};

function placeOf({ view, sequence }: { readonly view: View; readonly sequence: Sequence }): string {
  return `${view}/${sequence}`;
}

/** Goes on to commit in a view that it has asked to leave (Neo's dBFT forked so). */
export const unfaithful: Planted = (options) => {
  const prepares = new Map<string, Set<ValidatorIndex>>();
  const engine = new PbftEngine(options);
  const wrong = edited<PbftMessage>(engine, (effect, event) => {
    if (!isEnd(effect) || event.kind !== "message") return [effect];
    const { message, proof } = event.signed;
    if (message.kind !== "prepare") return [effect];
    const { view, sequence, digest } = message;
    const key = `${view}/${sequence}/${digest}`;
    const voters = prepares.get(key) ?? new Set();
    prepares.set(key, voters.add(proof.seal.signer));
    if (voters.size !== options.network.set.quorum - 1 || view >= engine.status().view) return [effect];
    return [effect, { kind: "broadcast", message: { kind: "commit", view, sequence, digest } }];
  });
  return changed(wrong, {
    screen: (from, message) => (message.kind === "prepare" ? { kind: "accept" } : engine.screen(from, message)),
  });
};

/** Takes what comes late or twice for an attack. */
export const suspicious: Planted = (options) => {
  const engine = new PbftEngine(options);
  return changed(engine, {
    screen: (from, message) => {
      const verdict = engine.screen(from, message);
      return verdict.kind === "ignore" ? { kind: "reject", reason: verdict.reason } : verdict;
    },
  });
};

export function changed(
  engine: Engine<PbftMessage>,
  parts: Partial<Pick<Engine<PbftMessage>, "wire" | "step" | "screen">>,
): Engine<PbftMessage> {
  return {
    name: engine.name,
    dag: engine.dag,
    wire: parts.wire ?? engine.wire,
    step: parts.step ?? ((event: EngineEvent<PbftMessage>) => engine.step(event)),
    screen: parts.screen ?? ((from, message) => engine.screen(from, message)),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
}
