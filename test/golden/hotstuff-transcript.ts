import type { Effect } from "../../src/consensus/engine.ts";
import type { HotStuffMessage, Qc, Tc } from "../../src/consensus/hotstuff/messages.ts";
import { blockHash, genesisBlock } from "../../src/consensus/hotstuff/statements.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { NULL_BATCH } from "../../src/dag/batch.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Sequence } from "../../src/membership/ids.ts";
import type { Host } from "../cluster/host.ts";
import { HotStuffCluster, type Variant } from "../hotstuff/hotstuff-cluster.ts";

/** Correct replicas of HotStuff on even links, and every effect of theirs that another could notice, as lines of text. */
export class HotStuffTranscript {
  readonly cluster: HotStuffCluster;
  readonly lines: string[] = [];
  readonly #names = new Map<Hash, string>();

  constructor(variant: Variant) {
    this.cluster = new HotStuffCluster({ count: 4, seed: 1, variant });
    this.cluster.weather = { delayMin: 10, delayMax: 10, loss: 0, duplication: 0 };
    this.cluster.onEffect = (host, effect) => this.#note(host, effect);
    this.#names.set(genesisBlock(this.cluster.network, 0 as Sequence).digest, "genesis");
  }

  note(text: string): void {
    this.lines.push(`-- ${text}`);
  }

  text(): string {
    return `${this.lines.join("\n")}\n`;
  }

  #note(host: Host, effect: Effect<PbftMessage>): void {
    // The hosts carry any engine's messages; only their types name PBFT's.
    const line = this.#lineOf(effect as unknown as Effect<HotStuffMessage>);
    if (line !== null)
      this.lines.push(`${String(Math.floor(this.cluster.schedule.nowMs)).padStart(5)} r${host.self} ${line}`);
  }

  #lineOf(effect: Effect<HotStuffMessage>): string | null {
    switch (effect.kind) {
      case "persist":
        return `persist ${effect.writes.map(({ key, value }) => `${value === null ? "-" : ""}${this.#keyOf(key)}`).join(" ")}`;
      case "broadcast":
        return `to all: ${this.#messageOf(effect.message)}`;
      case "send":
        return `to r${effect.to}: ${this.#messageOf(effect.message)}`;
      case "relay":
        return `passes on to r${effect.to}: ${this.#messageOf(effect.signed.message)}`;
      case "finalize":
        return `executes ${effect.slot.sequence} = ${this.#name(effect.slot.certificate.digest)}, committed in view ${effect.slot.certificate.view}`;
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

  #messageOf(message: HotStuffMessage): string {
    switch (message.kind) {
      case "proposal": {
        const { view, justify, sequence, absences } = message.block;
        const content = message.batch === NULL_BATCH || message.batch.bundles.length === 0 ? "empty" : `s${sequence}`;
        const out = absences.map(({ validator, until }) => `r${validator} out until v${until}`);
        const proofs = [...qcText(message.qc), ...tcText(message.tc), ...out];
        const parent = `on ${this.#name(justify.block)} of v${justify.view}`;
        return `block ${this.#name(blockHash(message.block))} v${view} ${content} ${parent}${proofs.map((text) => `; ${text}`).join("")}`;
      }
      case "vote":
        return `vote v${message.view} ${this.#name(message.block)}`;
      case "commit":
        return `commit v${message.view} s${message.sequence} ${this.#name(message.digest)}`;
      case "timeout":
        return `timeout v${message.view}, high v${message.high.view} ${this.#name(message.high.block)}`;
      case "checkpoint":
        return `checkpoint s${message.sequence}`;
      case "ask":
        return `ask for ${this.#name(message.block)} above v${message.above}`;
      case "certificates":
        return `certificates ${[...qcText(message.qc), ...tcText(message.tc)].join("; ")}`;
    }
  }

  #keyOf(key: string): string {
    const [kind = "", rest] = key.split("/");
    if (rest === undefined) return key;
    return kind === "block" ? `block/${this.#name(rest as Hash)}` : `${kind}/${Number.parseInt(rest, 16)}`;
  }

  /** Hashes of blocks and of contents in the order in which they appear: A, B, ... Z, A1, B1. */
  #name(digest: Hash): string {
    const known = this.#names.get(digest);
    if (known !== undefined) return known;
    const place = this.#names.size - 1;
    const name = `${String.fromCharCode(65 + (place % 26))}${place < 26 ? "" : Math.floor(place / 26)}`;
    this.#names.set(digest, name);
    return name;
  }
}

function qcText(qc: Qc | null): readonly string[] {
  if (qc === null) return [];
  const commits = qc.commits.map(({ sequence }) => ` s${sequence}`).join("");
  return [
    `certificate of ${qc.votes.map(({ seal }) => `r${seal.signer}`).join(" ")}${commits === "" ? "" : ` for${commits}`}`,
  ];
}

function tcText(tc: Tc | null): readonly string[] {
  return tc === null
    ? []
    : [`v${tc.view} given up by ${tc.timeouts.map(({ proof }) => `r${proof.seal.signer}`).join(" ")}`];
}
