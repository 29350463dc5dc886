import type { Effect } from "../../src/consensus/engine.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { NULL_DIGEST } from "../../src/consensus/pbft/new-view.ts";
import type { Hash } from "../../src/lib/hash.ts";
import { execute } from "../../src/replication/executor.ts";
import { Cluster } from "./cluster.ts";
import type { Host } from "./host.ts";
import { pbftOf } from "./pbft-host.ts";
import { networkOf } from "./signing.ts";

/** Four correct replicas on even links, and every effect of theirs that another could notice, as lines of text. */
export class Transcript {
  readonly cluster: Cluster;
  readonly lines: string[] = [];
  readonly #names = new Map<Hash, string>([[NULL_DIGEST, "null"]]);

  constructor(count = 4) {
    this.cluster = new Cluster({
      network: networkOf(count),
      seed: 1,
      hostOptions: (_, self) => ({ self, isCorrect: true, makeEngine: pbftOf, execute, skewMs: 0 }),
    });
    this.cluster.weather = { delayMin: 10, delayMax: 10, loss: 0, duplication: 0 };
    this.cluster.onEffect = (host, effect) => this.#note(host, effect);
  }

  note(text: string): void {
    this.lines.push(`-- ${text}`);
  }

  text(): string {
    return `${this.lines.join("\n")}\n`;
  }

  #note(host: Host, effect: Effect<PbftMessage>): void {
    const line = this.#lineOf(effect);
    if (line !== null)
      this.lines.push(`${String(Math.floor(this.cluster.schedule.nowMs)).padStart(5)} r${host.self} ${line}`);
  }

  #lineOf(effect: Effect<PbftMessage>): string | null {
    switch (effect.kind) {
      case "persist":
        return `persist ${effect.writes.map(({ key, value }) => `${value === null ? "-" : ""}${shortKey(key)}`).join(" ")}`;
      case "broadcast":
        return `to all: ${this.#messageOf(effect.message)}`;
      case "send":
        return `to r${effect.to}: ${this.#messageOf(effect.message)}`;
      case "relay":
        return `passes on to r${effect.to}: ${this.#messageOf(effect.signed.message)}`;
      case "finalize":
        return `executes ${effect.slot.sequence} = ${this.#name(effect.slot.certificate.digest)}`;
      case "checkpoint":
        return `stable at ${effect.certificate.sequence}`;
      case "sync":
        return `asks r${effect.from} for places from ${effect.fromSequence}`;
      case "trace":
        return effect.trace.phase === "new-view" ? `enters view ${effect.trace.view}` : null;
      default:
        return null;
    }
  }

  #messageOf(message: PbftMessage): string {
    switch (message.kind) {
      case "pre-prepare":
      case "prepare":
      case "commit":
        return `${message.kind} v${message.view} s${message.sequence} ${this.#name(message.digest)}`;
      case "checkpoint":
        return `checkpoint s${message.sequence}`;
      case "view-change": {
        const places = message.prepared.map(
          ({ view, sequence, digest }) => `v${view}s${sequence}=${this.#name(digest)}`,
        );
        return `view-change v${message.view} h${message.stable?.sequence ?? 0} [${places.join(" ")}]`;
      }
      case "new-view":
        return `new-view v${message.view} from ${message.viewChanges.map(({ proof }) => `r${proof.seal.signer}`).join(" ")}`;
    }
  }

  /** Digests in the order in which they appear: A, B, C. */
  #name(digest: Hash): string {
    const known = this.#names.get(digest);
    if (known !== undefined) return known;
    const name = String.fromCharCode(64 + this.#names.size);
    this.#names.set(digest, name);
    return name;
  }
}

function shortKey(key: string): string {
  const [kind, place] = key.split("/");
  return place === undefined ? key : `${kind}/${Number.parseInt(place, 16)}`;
}
