import type { TraceRecord } from "./recorder.ts";

/** One message on its way from line to line. */
export interface Arrow {
  readonly from: number;
  readonly to: number;
  readonly sentMs: number;
  /** Null for one that did not arrive. */
  readonly arrivedMs: number | null;
  readonly label: string;
  /** It came a second time. */
  readonly isCopy: boolean;
}

/** Something that happened at one node. */
export interface Mark {
  readonly node: number;
  readonly atMs: number;
  readonly kind: "phase" | "start" | "crash" | "note";
  readonly label: string;
}

type Way = Extract<TraceRecord, { readonly kind: "sent" | "delivered" }>;

/** Steps of an engine that a reader looks for; the others show as the messages that they send. */
const PHASES = /^(prepared|committed|execute|checkpoint-stable|view-change|new-view) /;

/** Pairs what was sent with what arrived: frames of one way arrive in order, or not at all, or twice. */
export function arrowsOf(records: readonly TraceRecord[]): readonly Arrow[] {
  const underWay = new Map<string, Way[]>();
  const last = new Map<string, Way>();
  const arrows: Arrow[] = [];
  for (const record of records) {
    if (record.kind !== "sent" && record.kind !== "delivered") continue;
    const key = `${record.from}/${record.to}/${record.frame}`;
    const waiting = underWay.get(key) ?? [];
    underWay.set(key, waiting);
    if (record.kind === "sent") {
      waiting.push(record);
      continue;
    }
    const first = waiting.shift();
    const sent = first ?? last.get(key);
    // What was sent before the first record has no begin.
    if (sent === undefined) continue;
    last.set(key, sent);
    arrows.push(arrowOf(sent, record.atMs, first === undefined));
  }
  for (const waiting of underWay.values()) arrows.push(...waiting.map((sent) => arrowOf(sent, null, false)));
  return arrows.sort((left, right) => left.sentMs - right.sentMs);
}

function arrowOf({ from, to, atMs, label }: Way, arrivedMs: number | null, isCopy: boolean): Arrow {
  return { from, to, sentMs: atMs, arrivedMs, label, isCopy };
}

export function marksOf(records: readonly TraceRecord[]): readonly Mark[] {
  return records.flatMap((record): readonly Mark[] => {
    if (record.kind !== "phase" && record.kind !== "note") return [];
    const { node, atMs, label } = record;
    if (record.kind === "phase") return PHASES.test(label) ? [{ node, atMs, kind: "phase", label }] : [];
    if (label === "start" || label === "crash") return [{ node, atMs, kind: label, label }];
    return /^(fatal|rejects)/.test(label) ? [{ node, atMs, kind: "note", label }] : [];
  });
}

/** A moment at which something is drawn; `rows` are the places that need the height of a line of text. */
export interface Moment {
  readonly atMs: number;
  readonly rows: readonly string[];
}

/** A stretch of time that is drawn shorter than it was. */
export interface Break {
  readonly y: number;
  readonly ms: number;
}

export interface Scale {
  readonly yOf: (atMs: number) => number;
  readonly breaks: readonly Break[];
  readonly bottom: number;
}

const LINE_PX = 15;
const GAP_PX_MAX = 64;
const PX_EACH = 14;
const PX_PER_MS_MAX = 40;

/**
 * Virtual time downwards. Bursts are stretched until their labels fit, idle time is shortened; what is later is never
 * drawn higher.
 */
export function scaleOf(moments: readonly Moment[], top: number): Scale {
  const sorted = [...moments].sort((left, right) => left.atMs - right.atMs);
  const first = sorted[0]?.atMs ?? 0;
  // Most steps lie within bursts: these get the room.
  const steps = sorted.map(({ atMs }, at) => atMs - (sorted[at - 1]?.atMs ?? atMs)).sort((left, right) => left - right);
  const pxPerMs = Math.min(PX_PER_MS_MAX, PX_EACH / Math.max(0.01, steps[steps.length >> 1] ?? 1));
  const points: { readonly atMs: number; y: number }[] = [];
  const breaks: Break[] = [];
  const rowsY = new Map<string, number>();
  let y = top;
  let beforeMs = first;
  for (const { atMs, rows } of sorted) {
    const wanted = (atMs - beforeMs) * pxPerMs;
    if (wanted > 2 * GAP_PX_MAX) breaks.push({ y: y + GAP_PX_MAX / 2, ms: atMs - beforeMs });
    y += Math.min(GAP_PX_MAX, wanted);
    for (const row of rows) y = Math.max(y, (rowsY.get(row) ?? Number.NEGATIVE_INFINITY) + LINE_PX);
    for (const row of rows) rowsY.set(row, y);
    const last = points[points.length - 1];
    // What happens at one moment is at one height.
    if (last !== undefined && last.atMs === atMs) last.y = y;
    else points.push({ atMs, y });
    beforeMs = atMs;
  }
  return { yOf: (atMs) => heightAt(points, atMs, top), breaks, bottom: y };
}

function heightAt(points: readonly { readonly atMs: number; readonly y: number }[], atMs: number, top: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.atMs ?? 0) < atMs) low = middle + 1;
    else high = middle;
  }
  const after = points[low];
  const before = points[low - 1];
  if (after === undefined) return before?.y ?? top;
  if (before === undefined || after.atMs === atMs) return after.y;
  return before.y + ((atMs - before.atMs) / (after.atMs - before.atMs)) * (after.y - before.y);
}
