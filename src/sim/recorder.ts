import { decode } from "../codec/codec.ts";
import type { Trace } from "../consensus/engine.ts";
import type { LogLevel } from "../node/observer.ts";
import type { Lane } from "../node/ports.ts";
import { bodiesOf } from "./frame-bodies.ts";
import { frameCodec } from "../node/wire.ts";
import { type Protocol, PROTOCOLS } from "./protocol.ts";

/** One line of a run's trace. Times in virtual milliseconds. */
export type TraceRecord =
  | {
      readonly kind: "sent" | "delivered";
      readonly atMs: number;
      readonly from: number;
      readonly to: number;
      readonly lane: Lane;
      readonly label: string;
      readonly frame: number;
    }
  | { readonly kind: "phase"; readonly atMs: number; readonly node: number; readonly label: string }
  | { readonly kind: "note"; readonly atMs: number; readonly node: number; readonly label: string };

/** Records kept by default: a window of a run, not all of a long one. */
const RECORDS_MAX = 500_000;

/** Keeps what happened in one window of a run, for a picture or for reading. */
export class Recorder {
  readonly records: TraceRecord[] = [];
  /** What names its frames: the run's own; before a run, the protocol with all messages. */
  protocol: Protocol = PROTOCOLS.avalanche;
  readonly #fromMs: number;
  readonly #untilMs: number;
  readonly #numbers = new WeakMap<Uint8Array, number>();
  readonly #labels = new WeakMap<Uint8Array, string>();
  #frames = 0;

  constructor(window: { readonly fromMs: number; readonly untilMs: number } = { fromMs: 0, untilMs: Infinity }) {
    this.#fromMs = window.fromMs;
    this.#untilMs = window.untilMs;
  }

  sent(atMs: number, from: number, to: number, lane: Lane, frame: Uint8Array): void {
    this.#add({ kind: "sent", atMs, from, to, lane, label: this.#labelOf(lane, frame), frame: this.#numberOf(frame) });
  }

  delivered(atMs: number, from: number, to: number, lane: Lane, frame: Uint8Array): void {
    const label = this.#labelOf(lane, frame);
    this.#add({ kind: "delivered", atMs, from, to, lane, label, frame: this.#numberOf(frame) });
  }

  phase(atMs: number, node: number, { phase, view, sequence, detail }: Trace): void {
    this.#add({
      kind: "phase",
      atMs,
      node,
      label: `${phase} v${view} s${sequence}${detail === "" ? "" : ` ${detail}`}`,
    });
  }

  note(atMs: number, node: number, label: string): void {
    this.#add({ kind: "note", atMs, node, label });
  }

  log(atMs: number, node: number, level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void {
    this.note(atMs, node, `${level} ${event} ${JSON.stringify(fields)}`);
  }

  #add(record: TraceRecord): void {
    if (record.atMs < this.#fromMs || record.atMs > this.#untilMs || this.records.length >= RECORDS_MAX) return;
    this.records.push(record);
  }

  #numberOf(frame: Uint8Array): number {
    const known = this.#numbers.get(frame);
    if (known !== undefined) return known;
    this.#frames += 1;
    this.#numbers.set(frame, this.#frames);
    return this.#frames;
  }

  #labelOf(lane: Lane, frame: Uint8Array): string {
    const known = this.#labels.get(frame);
    if (known !== undefined) return known;
    const label = labelOf(this.protocol, lane, frame);
    this.#labels.set(frame, label);
    return label;
  }
}

/** What a frame carries, in a few words. */
function labelOf(protocol: Protocol, lane: Lane, bytes: Uint8Array): string {
  try {
    const frame = decode(frameCodec, bytes);
    if (frame.kind === "status") return `status v${frame.status.view} x${frame.status.executed}`;
    if (lane === "dissemination") return "bundles";
    return bodiesOf(frame)
      .map((body) => protocol.read(body).label)
      .join(", ");
  } catch {
    return "garbage";
  }
}
