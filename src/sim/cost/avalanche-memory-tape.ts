import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { encode } from "../../codec/codec.ts";
import { AvalancheCore, type CoreOptions } from "../../consensus/avalanche/core.ts";
import { type AvalancheMessage, encodeMessage } from "../../consensus/avalanche/messages.ts";
import type { AvalancheParams } from "../../consensus/avalanche/params.ts";
import type { DagEvent } from "../../consensus/dag-engine.ts";
import type { Effect, TimerName } from "../../consensus/engine.ts";
import { bundleCodec, type HeldBundle } from "../../dag/bundle.ts";
import { assert } from "../../lib/assert.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { Random } from "../random.ts";

/** The bytes of a frame, and on which lane it came. */
export interface ReceivedFrame {
  readonly isOfBundles: boolean;
  readonly bytes: Uint8Array;
}

/** What the frames of one turn say. */
export interface Opened {
  readonly messages: readonly Signed<AvalancheMessage>[];
  readonly bundles: readonly HeldBundle[];
}

/** One thing that a node heard or did, with the virtual time at its engine. Bytes that belong to it follow it on the tape. */
export type TapeEntry =
  | { readonly kind: "start"; readonly nowMs: number }
  /** A turn of another node came: its frames follow. */
  | { readonly kind: "turn"; readonly areOfBundles: readonly boolean[] }
  /** The engine gets all bundles of the turn that came last. */
  | { readonly kind: "arrived"; readonly nowMs: number }
  /** It gets one message of that turn. */
  | { readonly kind: "heard"; readonly index: number; readonly nowMs: number }
  /** It gets bundles of its own, or such that were fetched: their bodies follow. */
  | { readonly kind: "bundles"; readonly nowMs: number }
  /** It hears itself: the message follows. */
  | { readonly kind: "own"; readonly nowMs: number }
  | { readonly kind: "sync-failed"; readonly from: ValidatorIndex; readonly nowMs: number }
  | { readonly kind: "timer"; readonly name: TimerName; readonly nowMs: number };

/** Written to the file in pieces of about so many bytes. */
const PIECE_BYTES = 4 * 1_048_576;

/** All that one node of a simulated network heard and did, in a file; a process that does nothing else can play it again. */
export class MemoryTape {
  readonly #file: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #opened: Opened = { messages: [], bundles: [] };

  /** Overwrites the file. */
  constructor(path: string) {
    this.#file = openSync(path, "w");
  }

  turn(frames: readonly ReceivedFrame[], opened: Opened): void {
    this.#opened = opened;
    const areOfBundles = frames.map(({ isOfBundles }) => isOfBundles);
    this.#put(
      { kind: "turn", areOfBundles },
      frames.map(({ bytes }) => bytes),
    );
  }

  start(nowMs: number): void {
    this.#put({ kind: "start", nowMs });
  }

  message({ message }: Signed<AvalancheMessage>, nowMs: number): void {
    const index = this.#opened.messages.findIndex((each) => each.message === message);
    if (index >= 0) this.#put({ kind: "heard", index, nowMs });
    else this.#put({ kind: "own", nowMs }, [encodeMessage(message)]);
  }

  event(event: DagEvent): void {
    const { nowMs } = event;
    if (event.kind === "dag-sync-failed") return this.#put({ kind: "sync-failed", from: event.from, nowMs });
    assert(event.kind === "dag-bundles", "nothing is lost in this network, so nobody claims and nothing is resolved");
    const helds = event.bundles.map(({ held }) => held);
    const [first] = helds;
    if (first !== undefined && first === this.#opened.bundles[0]) return this.#put({ kind: "arrived", nowMs });
    const bodies = helds.map(({ bundle }) => encode(bundleCodec, bundle));
    this.#put({ kind: "bundles", nowMs }, bodies);
  }

  timer(name: TimerName, nowMs: number): void {
    this.#put({ kind: "timer", name, nowMs });
  }

  /** Writes what is left. */
  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #put(entry: TapeEntry, bodies: readonly Uint8Array[] = []): void {
    const head = new TextEncoder().encode(JSON.stringify({ entry, lengths: bodies.map(({ length }) => length) }));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, head.length);
    for (const piece of [length, head, ...bodies]) {
      this.#pieces.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#bytes > PIECE_BYTES) this.#flush();
  }

  #flush(): void {
    writeAll(this.#file, Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.#bytes = 0;
  }
}

/** The entries of a tape, each with the bytes that follow it, read one by one. */
export function* entriesOf(
  path: string,
): Generator<{ readonly entry: TapeEntry; readonly bodies: readonly Uint8Array[] }> {
  const file = openSync(path, "r");
  try {
    for (;;) {
      const length = readExactly(file, 4);
      if (length === null) return;
      const headBytes = whole(file, new DataView(length.buffer).getUint32(0));
      const head: { entry: TapeEntry; lengths: number[] } = JSON.parse(new TextDecoder().decode(headBytes));
      yield { entry: head.entry, bodies: head.lengths.map((bytes) => whole(file, bytes)) };
    }
  } finally {
    closeSync(file);
  }
}

/** A real engine that writes down what it gets. */
export class TapedCore extends AvalancheCore {
  readonly #tape: MemoryTape;

  constructor(options: CoreOptions, tape: MemoryTape) {
    super(options);
    this.#tape = tape;
  }

  override start(nowMs: number): readonly Effect<AvalancheMessage>[] {
    this.#tape.start(nowMs);
    return super.start(nowMs);
  }

  override onMessage(signed: Signed<AvalancheMessage>, nowMs: number): readonly Effect<AvalancheMessage>[] {
    this.#tape.message(signed, nowMs);
    return super.onMessage(signed, nowMs);
  }

  override onEvent(event: DagEvent): readonly Effect<AvalancheMessage>[] {
    this.#tape.event(event);
    return super.onEvent(event);
  }

  override onTimer(name: TimerName, nowMs: number): readonly Effect<AvalancheMessage>[] {
    this.#tape.timer(name, nowMs);
    return super.onTimer(name, nowMs);
  }
}

/** An engine that begins with an empty DAG. */
export function coreOptionsOf(
  network: NetworkContext,
  self: ValidatorIndex,
  params: AvalancheParams,
  random: Random,
): CoreOptions {
  const lanes = network.set.roster.map(() => ({ nonce: 0 as Nonce, tip: network.genesis }));
  const restored = { lanes, open: [] };
  return { network, self, params, random, restored, previous: null, remembersPrevious: false, rows: [] };
}

function writeAll(file: number, bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) at += writeSync(file, bytes, at);
}

function whole(file: number, bytes: number): Uint8Array {
  const read = readExactly(file, bytes);
  assert(read !== null, "a whole tape");
  return read;
}

/** Null at the end of the file. No `Buffer`: its `slice` is no copy, and what is kept would keep its frame. */
function readExactly(file: number, bytes: number): Uint8Array | null {
  const buffer = new Uint8Array(bytes);
  let at = 0;
  while (at < bytes) {
    const count = readSync(file, buffer, at, bytes - at, null);
    if (count === 0) return null;
    at += count;
  }
  return buffer;
}
