import { vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import type { DagDecision, Unit } from "../../src/consensus/dag-engine.ts";
import type { AvalancheMessage } from "../../src/consensus/avalanche/messages.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import type { VoteEntry } from "../../src/dag/votes.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import { DagCluster } from "../../src/sim/avalanche/dag-cluster.ts";
import type { DagClusterOptions, LiarEffect } from "../../src/sim/avalanche/dag-cluster-options.ts";
import { networkOf } from "../cluster/signing.ts";

/** Links of one even delay, in virtual milliseconds, without losses. */
const DELAY_MS = 10;

/**
 * Four validators in virtual time on even links, and what they write, say and decide, as lines of text. Of polls it is told
 * how many a validator had begun when something became final, not each of them: one is like the other.
 */
export class DagTranscript {
  readonly cluster: DagCluster;
  readonly lines: string[] = [];
  readonly #names = new Map<Hash, string>();
  readonly #polls = new Map<ValidatorIndex, number>();

  constructor(options: Partial<DagClusterOptions> = {}) {
    this.cluster = new DagCluster({
      network: networkOf(4),
      params: deriveParams(4, { beta: 3, concurrentPolls: 1 }),
      seed: 1,
      weather: { delayMinMs: DELAY_MS, delayMaxMs: DELAY_MS, lossPermille: 0 },
      logMs: 50,
      ...options,
    });
    this.#overhear();
    this.cluster.start();
    this.cluster.run(5);
  }

  note(text: string): void {
    this.lines.push(`-- ${text}`);
  }

  text(): string {
    return `${this.lines.join("\n")}\n`;
  }

  /** Gives a bundle its name; they are told of by it from now on. */
  name(held: HeldBundle, name: string): HeldBundle {
    this.#names.set(held.ref.digest, name);
    return held;
  }

  submit(index: number, name: string, ...payloads: readonly Uint8Array[]): HeldBundle {
    const self = index as ValidatorIndex;
    const member = this.cluster.member(self);
    const held = this.name(member.form(payloads, this.cluster.nowMs), name);
    this.note(`v${index} makes ${name} of ${held.ref.count}`);
    this.cluster.spread(self, held);
    return held;
  }

  run(ms: number): void {
    this.cluster.run(this.cluster.nowMs + ms);
  }

  /** What became of a bundle at each validator, as one line. */
  fates(...bundles: readonly HeldBundle[]): void {
    for (const held of bundles) {
      const { digest, count } = held.ref;
      const told = this.cluster.members.map((member) => {
        const vertices = Array.from({ length: count }, (_, vertex) =>
          member.isAccepted(digest, vertex) ? "+" : member.isRejected(digest, vertex) ? "-" : "?",
        );
        return `v${member.index} ${member.placeOf(digest)} ${vertices.join("")}`;
      });
      this.note(`${this.#nameOf(digest)}: ${told.join(", ")}`);
    }
  }

  #overhear(): void {
    const { cluster } = this;
    const perform = cluster.performOne.bind(cluster);
    cluster.performOne = (member, effect) => {
      const line = this.#lineOf(member.index, effect);
      if (line !== null) this.lines.push(`${String(Math.floor(cluster.nowMs)).padStart(5)} v${member.index} ${line}`);
      perform(member, effect);
    };
  }

  #lineOf(self: ValidatorIndex, effect: LiarEffect): string | null {
    switch (effect.kind) {
      case "persist":
        return `persist ${effect.writes.map(({ key, value }) => `${value === null ? "-" : ""}${this.#row(key)}`).join(" ")}`;
      case "broadcast":
        return `to all: ${this.#said(effect.message)}`;
      case "multicast":
        this.#polls.set(self, (this.#polls.get(self) ?? 0) + 1);
        return null;
      case "send":
        return effect.message.kind === "answer" ? null : `to v${effect.to}: ${this.#said(effect.message)}`;
      case "decide":
        return `final${this.#after(self)}: ${effect.decisions.map((decision) => this.#decided(decision)).join("; ")}`;
      case "report":
        return `reports ${this.#unit(effect.subject)}${effect.certified === null ? "" : ` with ${effect.certified.votes.length} accepts of ${this.#unit(effect.certified.unit)}`}`;
      case "fetch-vertices":
        return `asks ${named(effect.from)} for ${effect.tips.length} parents`;
      case "fetch-bundles":
        return `asks ${named(effect.from)} for ${effect.digests.map((digest) => this.#nameOf(digest)).join(" ")}`;
      case "dag-sync":
        return `asks v${effect.from} what it knows`;
      case "partition":
        return effect.isPartitioned ? "is cut off" : "is back";
      case "trace":
        return effect.trace.detail.startsWith("the log") ? this.#renamed(effect.trace.detail) : null;
      default:
        return null;
    }
  }

  /** How many polls this validator began until now: time is not all that polls depend on. */
  #after(self: ValidatorIndex): string {
    return ` after ${this.#polls.get(self) ?? 0} polls`;
  }

  #said(message: AvalancheMessage): string {
    return message.kind === "votes" ? message.entries.map((entry) => this.#vote(entry)).join(", ") : message.kind;
  }

  #vote({ level, bundle, except }: VoteEntry): string {
    return `${level} ${this.#nameOf(bundle)}${except.length === 0 ? "" : ` but ${except.join(" ")}`}`;
  }

  #decided({ bundle, place, accepted, rejected, isSettled }: DagDecision): string {
    const parts = [
      ...(place === null ? [] : [`place ${place}`]),
      ...(accepted.length === 0 ? [] : [`+${accepted.join(" ")}`]),
      ...(rejected.length === 0 ? [] : [`-${rejected.join(" ")}`]),
      ...(isSettled ? ["settled"] : []),
    ];
    return `${this.#nameOf(bundle)} ${parts.join(", ")}`;
  }

  #unit({ bundle, vertex: index }: Unit): string {
    return index === null ? this.#nameOf(bundle) : `${this.#nameOf(bundle)}/${index}`;
  }

  #row(key: string): string {
    return this.#renamed(key.replace("dag/", ""));
  }

  #renamed(text: string): string {
    return text.replaceAll(/[0-9a-f]{64}/g, (digest) => this.#nameOf(digest as Hash));
  }

  #nameOf(digest: Hash): string {
    return this.#names.get(digest) ?? "?";
  }
}

function named(validators: readonly ValidatorIndex[]): string {
  return validators.map((index) => `v${index}`).join(" ");
}

/** A vertex that claims these keys. */
export function spend(text: string, ...keys: readonly string[]): Uint8Array {
  return vertex(text, ...keys);
}
