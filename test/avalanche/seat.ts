import { arrival, NETWORK } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { AvalancheCore, type CoreOptions } from "../../src/consensus/avalanche/core.ts";
import type { AvalancheMessage } from "../../src/consensus/avalanche/messages.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import type { DagDecision, DagEvent, Unit } from "../../src/consensus/dag-engine.ts";
import type { Effect } from "../../src/consensus/engine.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import type { VoteEntry, VoteLevel } from "../../src/dag/votes.ts";
import type { Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import { Random } from "../../src/sim/random.ts";

type Heard = DagEvent extends infer E ? (E extends DagEvent ? Omit<E, "nowMs" | "wallMs"> : never) : never;

/** One correct validator alone, with its adversary in everybody else's place. */
export class Seat {
  readonly core: AvalancheCore;
  readonly effects: Effect<AvalancheMessage>[] = [];
  nowMs = 0;

  constructor(changes: Partial<CoreOptions> = {}) {
    const network = changes.network ?? NETWORK;
    this.core = new AvalancheCore({
      network,
      self: 0 as ValidatorIndex,
      params: deriveParams(network.set.size),
      random: Random.of(1, 1),
      restored: {
        lanes: network.set.roster.map(() => ({ nonce: 0 as Nonce, tip: network.genesis })),
        open: [],
      },
      previous: null,
      remembersPrevious: false,
      rows: [],
      ...changes,
    });
    this.take(this.core.start(0));
  }

  take(effects: readonly Effect<AvalancheMessage>[]): readonly Effect<AvalancheMessage>[] {
    this.effects.push(...effects);
    return effects;
  }

  event(event: Heard): void {
    this.take(this.core.onEvent({ ...event, nowMs: this.nowMs, wallMs: this.nowMs } as DagEvent));
  }

  bundles(...held: readonly HeldBundle[]): void {
    this.event({ kind: "dag-bundles", bundles: held.map((each) => arrival(each)) });
  }

  hear(from: number, message: AvalancheMessage): void {
    const seal = {
      signer: from as ValidatorIndex,
      leafCount: 1,
      signature: { mlDsa: new Uint8Array(4_627), ed25519: null },
    };
    this.take(this.core.onMessage({ message, proof: { seal, leafIndex: 0, path: [] } }, this.nowMs));
  }

  votes(level: VoteLevel, held: HeldBundle, from: readonly number[], except: readonly number[] = []): void {
    for (const signer of from)
      this.hear(signer, { kind: "votes", entries: [{ level, bundle: held.ref.digest, except }] });
  }

  /** Lets time pass in ticks of 100 ms, and hears its own votes. */
  wait(ms: number): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; ) {
      this.nowMs += 100;
      this.take(this.core.onTimer("patience", this.nowMs));
    }
  }

  /** Answers its polls for everybody: all prefer the bundle, and a liar names its first vertex as often as told. */
  poll(
    rounds: number,
    held: HeldBundle,
    { liar, dissents }: { readonly liar: number; readonly dissents: number },
  ): void {
    const named = Array.from({ length: dissents }, () => ({ bundle: held.ref.digest, vertices: [0] }));
    let seen = 0;
    for (let round = 0; round < rounds; round++) {
      this.nowMs += 5;
      this.take(this.core.onTimer("poll", this.nowMs));
      for (const effect of this.effects.slice(seen)) {
        if (effect.kind !== "multicast" || effect.message.kind !== "query") continue;
        const { poll, lanes } = effect.message;
        for (const from of [liar, ...effect.to.filter((peer) => peer !== liar)]) {
          const answer = { kind: "answer", to: 0 as ValidatorIndex, poll, heads: lanes.map(() => 0) } as const;
          this.hear(from, { ...answer, dissents: from === liar ? named : [] });
        }
        seen = this.effects.indexOf(effect) + 1;
      }
    }
  }

  said(): readonly VoteEntry[] {
    return this.effects.flatMap((effect) =>
      effect.kind === "broadcast" && effect.message.kind === "votes" ? effect.message.entries : [],
    );
  }

  votedFor(level: VoteLevel, held: HeldBundle, index: number): boolean {
    return this.said().some(
      (entry) => entry.level === level && entry.bundle === held.ref.digest && !entry.except.includes(index),
    );
  }

  decisions(): readonly DagDecision[] {
    return this.effects.flatMap((effect) => (effect.kind === "decide" ? effect.decisions : []));
  }

  reported(): readonly Unit[] {
    return this.effects.flatMap((effect) => (effect.kind === "report" ? [effect.subject] : []));
  }
}
