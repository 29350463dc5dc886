import { PbftEngine } from "../../consensus/pbft/engine.ts";
import type { NewView, PbftMessage, ViewChange } from "../../consensus/pbft/messages.ts";
import type { Effect, Verified } from "../../consensus/engine.ts";
import type { Batch } from "../../dag/batch.ts";
import type { LaneTip } from "../../dag/lanes.ts";
import { assert } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Nonce, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import { edited } from "../attacks.ts";
import type { RunOptions } from "../run.ts";
import { changed } from "./wrong-engines.ts";

/** Production's engine that believes of content what it should have checked. */

type Planted = NonNullable<RunOptions["makeEngine"]>;

/** Takes the first content that it hears under a digest for that digest's. */
export const gullible: Planted = (options) => {
  const heard = new Map<Hash, Batch>();
  const engine = new PbftEngine(options);
  const wrong = edited(engine, (effect, event) => {
    if (event.kind === "message" && event.signed.message.kind === "pre-prepare") {
      const { digest, batch } = event.signed.message;
      if (batch !== null && !heard.has(digest)) heard.set(digest, batch);
    }
    if (effect.kind !== "finalize") return [effect];
    const batch = heard.get(effect.slot.certificate.digest);
    return batch === undefined ? [effect] : [{ ...effect, slot: { ...effect.slot, batch } }];
  });
  return changed(wrong, {
    screen: (from, message) =>
      engine.screen(from, message.kind === "pre-prepare" ? { ...message, batch: null } : message),
  });
};

/** Executes whatever a batch names, also what was executed before: each bundle seems to follow its lane's tip. */
export const executingAgain: Planted = (options) => {
  const { lanes } = options;
  const engine = new PbftEngine(options);
  const tips = new Map<ValidatorIndex, LaneTip>();
  const rightly = lanes.get.bind(lanes);
  let isInside = false;
  lanes.get = (digest) => {
    const ref = rightly(digest);
    // The engine sees its lanes as they are; the one who asks between its steps is execution.
    if (isInside || ref === undefined) return ref;
    const { nonce, tip } = tips.get(ref.creator) ?? lanes.executed(ref.creator);
    tips.set(ref.creator, { nonce: (nonce + ref.count) as Nonce, tip: ref.tip });
    return { ...ref, firstNonce: (nonce + 1) as Nonce, previous: tip };
  };
  return changed(engine, {
    step: (event) => {
      isInside = true;
      if (event.kind === "executed") tips.clear();
      try {
        return engine.step(event);
      } finally {
        isInside = false;
      }
    },
  });
};

/** Enters a new view without the locks that its view changes carry. */
export const lockless: Planted = (options) => {
  const received = new Map<View, Signed<NewView>>();
  const engine = edited(new PbftEngine(options), (effect) => {
    if (effect.kind !== "relay" || effect.signed.message.kind !== "new-view") return [effect];
    const original = received.get(effect.signed.message.view);
    return [original === undefined ? effect : { ...effect, signed: original }];
  });
  return changed(engine, {
    step: (event) => {
      if (event.kind !== "message" || event.signed.message.kind !== "new-view") return engine.step(event);
      const { message, proof } = event.signed;
      received.set(message.view, { message, proof });
      const viewChanges = message.viewChanges.map(withoutLocks);
      const signed = { message: { ...message, viewChanges }, proof } as Verified<Signed<NewView>>;
      return engine.step({ ...event, signed });
    },
  });
};

function withoutLocks(signed: Signed<ViewChange>): Signed<ViewChange> {
  return { ...signed, message: { ...signed.message, prepared: [] } };
}

/** Waits for ever: the first timer of this name in each life never rings. */
export function losingOnce(name: "progress" | "new-view" | "resend"): Planted {
  return (options) => {
    let isLost = false;
    return edited(new PbftEngine(options), (effect) => {
      if (isLost || effect.kind !== "set-timer" || effect.name !== name) return [effect];
      isLost = true;
      return [];
    });
  };
}

/** Never gives a leader-to-be its time: the timer of a new view is neither set nor set anew. */
export const patient: Planted = (options) =>
  edited(new PbftEngine(options), (effect) =>
    effect.kind === "set-timer" && effect.name === "new-view" ? [] : [effect],
  );

/** Never asks for what it lacks. */
export const proud: Planted = (options) =>
  edited(new PbftEngine(options), (effect) =>
    effect.kind === "fetch-bundles" || effect.kind === "fetch-batches" ? [] : [effect],
  );

/** Listens and votes however far above its stable checkpoint a place lies. */
export const boundless: Planted = (options) => {
  const { windows } = options;
  assert(windows !== undefined, "a run names its windows");
  return new PbftEngine({ ...options, windows: { ...windows, receiveWindow: 1_000_000 } });
};

/** Takes a view change that does not come to an end for its own fault, and begins again as it began its life. */
export const restless: Planted = (options) => {
  let engine = new PbftEngine(options);
  return {
    name: engine.name,
    dag: engine.dag,
    wire: engine.wire,
    step: (event) => {
      const { active, executed } = engine.status();
      if (event.kind !== "timer" || event.name !== "new-view" || active) return engine.step(event);
      engine = new PbftEngine({ ...options, executed });
      return engine.step({ kind: "start", nowMs: event.nowMs });
    },
    screen: (from, message) => engine.screen(from, message),
    status: () => engine.status(),
    batchOf: (digest) => engine.batchOf(digest),
  };
};

/** Hands one place in three over after the one that follows it. */
export const disorderly: Planted = (options) => {
  let held: Effect<PbftMessage> | null = null;
  return edited(new PbftEngine(options), (effect) => {
    if (effect.kind !== "finalize") return [effect];
    if (held === null && effect.slot.sequence % 3 === 0) {
      held = effect;
      return [];
    }
    const late = held;
    held = null;
    return late === null ? [effect] : [effect, late];
  });
};
