import { heapStats } from "bun:jsc";
import { fileURLToPath } from "node:url";
import { decode } from "../../codec/codec.ts";
import { AvalancheCore } from "../../consensus/avalanche/core.ts";
import { type AvalancheMessage, decodeMessage, encodeMessage } from "../../consensus/avalanche/messages.ts";
import { deriveParams } from "../../consensus/avalanche/params.ts";
import type { Effect } from "../../consensus/engine.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../crypto/signature.ts";
import { bundleCodec, type HeldBundle, holdBundle } from "../../dag/bundle.ts";
import { present } from "../../lib/assert.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { coreOptionsOf, entriesOf, type Opened, type TapeEntry } from "./avalanche-memory-tape.ts";
import { contextOf, randomOf } from "./avalanche-network.ts";
import { Received } from "./avalanche-received.ts";
import type { ScaleQuestion } from "./avalanche-scale.ts";

export type ReplayQuestion = Pick<ScaleQuestion, "nodes" | "params" | "seed">;

/** Bytes of resident memory of a process that plays one node's part again and does nothing else. */
export interface ResidentFigures {
  readonly atBegin: number;
  /** At each half second of virtual time. */
  readonly during: readonly number[];
  readonly most: number;
  /** The heap at the end, before and after a full collection. */
  readonly heap: number;
  readonly liveHeap: number;
  /** Some seconds after that collection. */
  readonly afterwards: number;
  /** Of the engine when it ends: whoever plays it again must come to the same. */
  readonly openVertices: number;
}

const STEP_MS = 500;

/** Looked at so often for what is the most, in virtual milliseconds. The system's own mark counts the process that began this one. */
const LOOK_MS = 20;

/** The allocator gives pages back some seconds after they were last used. */
const AFTERWARDS_MS = 6_000;

/** Plays a tape in a process of its own, as fast as it was recorded and no faster: the collector takes its turns in pauses. */
export async function replayTape(path: string, { nodes, params, seed }: ReplayQuestion): Promise<ResidentFigures> {
  const words = JSON.stringify({ nodes, params, seed });
  const child = Bun.spawn([process.execPath, fileURLToPath(import.meta.url), path, words], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  const status = await child.exited;
  if (status !== 0)
    throw new Error(`the process that plays ${path} again ended with ${status}: see what it says above`);
  return JSON.parse(text);
}

/** One node's engine, and what it holds of the turns of others. */
export class Replay {
  readonly core: AvalancheCore;
  readonly #network: NetworkContext;
  readonly #received: Received;
  readonly #proof: Proof;
  #opened: Opened = { messages: [], bundles: [] };
  /** What the engine said, in bytes of the wire: a node encodes it. */
  saidBytes = 0;

  constructor({ nodes, params, seed }: ReplayQuestion) {
    const self = 0 as ValidatorIndex;
    this.#network = contextOf(nodes);
    this.#received = new Received(this.#network);
    this.core = new AvalancheCore(
      coreOptionsOf(this.#network, self, deriveParams(nodes, params), randomOf(seed, self)),
    );
    const signature = { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null };
    this.#proof = { seal: { signer: self, leafCount: 1, signature }, leafIndex: 0, path: [] };
  }

  take(entry: TapeEntry, bodies: readonly Uint8Array[]): void {
    for (const effect of this.#step(entry, bodies)) {
      if ("message" in effect) this.saidBytes += encodeMessage(effect.message).length;
    }
  }

  #step(entry: TapeEntry, bodies: readonly Uint8Array[]): readonly Effect<AvalancheMessage>[] {
    switch (entry.kind) {
      case "start":
        return this.core.start(entry.nowMs);
      case "turn": {
        const frames = bodies.map((bytes, at) => ({ bytes, isOfBundles: entry.areOfBundles[at] === true }));
        this.#opened = this.#received.openFrames(frames);
        return [];
      }
      case "arrived":
        return this.#arrive(this.#opened.bundles, entry.nowMs);
      case "heard":
        return this.core.onMessage(present(this.#opened.messages[entry.index], "a message"), entry.nowMs);
      case "bundles": {
        const helds = bodies.map((body) => holdBundle(this.#network, decode(bundleCodec, body)));
        return this.#arrive(helds, entry.nowMs);
      }
      case "own": {
        const message = decodeMessage(present(bodies[0], "a message"));
        return this.core.onMessage({ message, proof: this.#proof }, entry.nowMs);
      }
      case "sync-failed": {
        const { nowMs, from } = entry;
        return this.core.onEvent({ kind: "dag-sync-failed", nowMs, wallMs: nowMs, from });
      }
      default:
        return this.core.onTimer(entry.name, entry.nowMs);
    }
  }

  #arrive(helds: readonly HeldBundle[], nowMs: number): readonly Effect<AvalancheMessage>[] {
    const bundles = helds.map((held) => ({ held, lost: [], settled: null }));
    return this.core.onEvent({ kind: "dag-bundles", nowMs, wallMs: nowMs, bundles });
  }
}

/** What the process of the replay does: it prints one `ResidentFigures` as JSON. */
async function play(path: string, question: ReplayQuestion): Promise<void> {
  const atBegin = process.memoryUsage.rss();
  const during: number[] = [];
  const looks: number[] = [];
  let lookMs = 0;
  const replay = new Replay(question);
  const beganMs = performance.now();
  for (const { entry, bodies } of entriesOf(path)) {
    replay.take(entry, bodies);
    if (!("nowMs" in entry)) continue;
    if (entry.nowMs >= lookMs) {
      looks.push(process.memoryUsage.rss());
      lookMs = entry.nowMs + LOOK_MS;
    }
    while (entry.nowMs >= (during.length + 1) * STEP_MS) during.push(process.memoryUsage.rss());
    const aheadMs = entry.nowMs - (performance.now() - beganMs);
    if (aheadMs > 1) await Bun.sleep(aheadMs);
  }
  const heap = heapStats().heapSize;
  Bun.gc(true);
  const liveHeap = heapStats().heapSize;
  await Bun.sleep(AFTERWARDS_MS);
  const afterwards = process.memoryUsage.rss();
  const openVertices = replay.core.status().undecidedVertices;
  const most = Math.max(atBegin, ...looks, ...during);
  const figures: ResidentFigures = { atBegin, during, most, heap, liveHeap, afterwards, openVertices };
  console.log(JSON.stringify(figures));
}

if (import.meta.main) {
  const [path, words] = process.argv.slice(2);
  const question: ReplayQuestion = JSON.parse(present(words, "a question"));
  await play(present(path, "a tape"), question);
}
