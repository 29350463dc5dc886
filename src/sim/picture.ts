import { type Arrow, arrowsOf, type Mark, marksOf, type Moment, type Scale, scaleOf } from "./picture-layout.ts";
import { kindOf, KINDS, PICTURE_STYLE } from "./picture-style.ts";
import type { Fault, Plan } from "./plan.ts";
import type { TraceRecord } from "./recorder.ts";

export interface PictureOptions {
  readonly plan: Plan;
  /** Recorded with `pictureWindow`, so that it is known what became of the last messages. */
  readonly records: readonly TraceRecord[];
  /** What is shown, in virtual milliseconds. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** When the run ended: what was sent shortly before may have been under way. */
  readonly endMs: number;
}

/** A message takes so long at most, but for the worst links. */
const ON_ITS_WAY_MS = 5_000;
/** More than this nobody can read; the picture says that it ends early. */
const ARROWS_MAX = 3_000;
const LABEL_CHARS_MAX = 30;

const LEFT = 250;
const COLUMN = 230;
const RIGHT = 360;
const TOP = 150;

/** What has to be recorded for a picture of a window. */
export function pictureWindow({ fromMs, untilMs }: { readonly fromMs: number; readonly untilMs: number }): {
  readonly fromMs: number;
  readonly untilMs: number;
} {
  return { fromMs: fromMs - ON_ITS_WAY_MS, untilMs: untilMs + ON_ITS_WAY_MS };
}

/** What the parts of a picture share. */
interface Canvas extends PictureOptions {
  readonly arrows: readonly Arrow[];
  readonly marks: readonly Mark[];
  readonly allMarks: readonly Mark[];
  readonly lines: number;
  readonly scale: Scale;
  readonly isCut: boolean;
}

/** A message-sequence diagram as SVG: a line for each process, time downwards. Readable on light and dark pages. */
export function pictureOf(options: PictureOptions): string {
  const canvas = canvasOf(options);
  const { lines, scale } = canvas;
  const width = LEFT + (lines - 1) * COLUMN + RIGHT;
  const height = scale.bottom + 60;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${round(height)}" width="${width}" height="${round(height)}" role="img">`,
    `<style>${PICTURE_STYLE}</style>`,
    `<rect class="page" width="100%" height="100%"/>`,
    ...head(canvas),
    ...axis(canvas, width),
    ...faultBars(canvas, width),
    ...lifelines(canvas),
    ...canvas.arrows.map((arrow) => arrowLine(canvas, arrow)),
    ...canvas.marks.map((mark) => markSign(canvas, mark)),
    ...sentLabels(canvas),
    ...phaseLabels(canvas),
    "</svg>",
    "",
  ].join("\n");
}

function canvasOf(options: PictureOptions): Canvas {
  const { plan, records, fromMs } = options;
  const untilMs = Math.min(options.untilMs, options.endMs);
  const allMarks = marksOf(records);
  const isShown = (atMs: number): boolean => atMs >= fromMs && atMs <= untilMs;
  const all = arrowsOf(records).filter(({ sentMs, arrivedMs }) => sentMs <= untilMs && (arrivedMs ?? sentMs) >= fromMs);
  const arrows = all.slice(0, ARROWS_MAX);
  const isCut = all.length > arrows.length;
  const endMs = isCut ? (arrows[arrows.length - 1]?.sentMs ?? untilMs) : untilMs;
  const marks = allMarks.filter(({ atMs }) => isShown(atMs) && atMs <= endMs);
  const moments: Moment[] = [
    { atMs: fromMs, rows: [] },
    { atMs: endMs, rows: [] },
  ];
  for (const { from, sentMs, arrivedMs, label } of arrows) {
    if (isShown(sentMs)) moments.push({ atMs: sentMs, rows: [] });
    if (arrivedMs !== null && isShown(arrivedMs) && arrivedMs <= endMs) moments.push({ atMs: arrivedMs, rows: [] });
    if (isShown(sentMs) && isLabelled(label)) moments.push({ atMs: sentMs, rows: [`sent ${from}`] });
  }
  for (const { node, atMs, kind } of marks) moments.push({ atMs, rows: kind === "phase" ? [`mark ${node}`] : [] });
  for (const [beganMs, endedMs] of plan.faults.map(timeOf)) {
    for (const atMs of [beganMs, endedMs]) if (isShown(atMs) && atMs <= endMs) moments.push({ atMs, rows: [] });
  }
  const lines = plan.nodes + plan.liars.filter(({ twin }) => twin).length;
  return { ...options, untilMs: endMs, arrows, marks, allMarks, lines, scale: scaleOf(together(moments), TOP), isCut };
}

/** One moment for all that happens at one time. */
function together(moments: readonly Moment[]): readonly Moment[] {
  const rows = new Map<number, Set<string>>();
  for (const moment of moments) {
    const known = rows.get(moment.atMs) ?? new Set();
    for (const row of moment.rows) known.add(row);
    rows.set(moment.atMs, known);
  }
  return [...rows].map(([atMs, names]) => ({ atMs, rows: [...names] }));
}

function head(canvas: Canvas): readonly string[] {
  const { plan, fromMs, untilMs, lines, isCut } = canvas;
  const cut = isCut ? ` (cut here: more than ${ARROWS_MAX} messages)` : "";
  const title = `${plan.engine}, ${plan.nodes} nodes, seed ${plan.seed}: ${ms(fromMs)} to ${ms(untilMs)} ms of virtual time${cut}`;
  const used = new Set(canvas.arrows.map(({ label }) => kindOf(label)));
  let x = 24;
  const legend = [...KINDS.filter((kind) => used.has(kind)), "lost", "copy"].map((kind) => {
    const at = x;
    x += 48 + kind.length * 7.2;
    const cross = kind === "lost" ? crossAt(at + 20, 62) : "";
    return `<line class="k-${kind}" x1="${at}" y1="62" x2="${at + 24}" y2="62"/>${cross}${text("legend", at + 31, 66, kind)}`;
  });
  const names = Array.from({ length: lines }, (_, place) => nameOf(canvas, place));
  return [text("title", 24, 34, title), ...legend, ...names];
}

function nameOf({ plan }: Canvas, place: number): string {
  const x = xOf(place);
  const twins = plan.liars.filter(({ twin }) => twin);
  const twinOf = twins[place - plan.nodes];
  const liar = twinOf ?? plan.liars.find(({ node }) => node === place);
  const lies = liar?.twin === true ? "twin" : (liar?.attacks.join(", ") ?? "");
  const name = twinOf === undefined ? `node ${place}` : `node ${twinOf.node}′ (${place})`;
  const under = liar === undefined ? "" : text("lies", x, 130, shortened(`lies: ${lies}`), "middle");
  return [
    `<rect class="name${liar === undefined ? "" : " liar"}" x="${x - 52}" y="88" width="104" height="26" rx="6"/>`,
    text("node", x, 106, name, "middle"),
    under,
  ].join("");
}

function axis({ scale, arrows, marks, fromMs, untilMs }: Canvas, width: number): readonly string[] {
  const times = new Set([fromMs, untilMs, ...arrows.map(({ sentMs }) => sentMs), ...marks.map(({ atMs }) => atMs)]);
  const shown = [...times].filter((atMs) => atMs >= fromMs && atMs <= untilMs).sort((left, right) => left - right);
  let before = Number.NEGATIVE_INFINITY;
  const ticks = shown.flatMap((atMs) => {
    const y = scale.yOf(atMs);
    if (y - before < 26) return [];
    before = y;
    return [
      `<line class="grid" x1="86" y1="${round(y)}" x2="${width - 24}" y2="${round(y)}"/>`,
      text("time", 80, y + 4, `${ms(atMs)}`, "end"),
    ];
  });
  const gaps = scale.breaks.map(({ y, ms: gapMs }) => text("gap", 80, y + 4, `⋮ ${ms(gapMs)} ms`, "end"));
  return [text("time", 80, TOP - 18, "ms", "end"), ...ticks, ...gaps];
}

/** A process is a line while it is up, dots while it is down. */
function lifelines({ scale, lines, allMarks, plan, fromMs, untilMs }: Canvas): readonly string[] {
  return Array.from({ length: lines }, (_, place) => {
    const own = allMarks.filter(({ node, kind }) => node === place && (kind === "start" || kind === "crash"));
    let isUp = own[0]?.kind !== "start";
    let fromY = TOP - 12;
    const isLiar = place >= plan.nodes || plan.liars.some(({ node }) => node === place);
    const parts: string[] = [];
    const draw = (y: number): void => {
      const name = `life${isUp ? "" : " down"}${isLiar ? " liar" : ""}`;
      parts.push(`<line class="${name}" x1="${xOf(place)}" y1="${round(fromY)}" x2="${xOf(place)}" y2="${round(y)}"/>`);
      fromY = y;
    };
    for (const { kind, atMs } of own) {
      if (atMs > untilMs) break;
      if (atMs >= fromMs) draw(scale.yOf(atMs));
      isUp = kind === "start";
    }
    draw(scale.bottom + 20);
    return parts.join("");
  });
}

function arrowLine({ scale, fromMs, untilMs, endMs }: Canvas, arrow: Arrow): string {
  const { from, to, sentMs, arrivedMs, label, isCopy } = arrow;
  const kind = kindOf(label);
  const [x1, y1] = [xOf(from), sentMs < fromMs ? TOP - 12 : scale.yOf(sentMs)];
  const title = `<title>${escaped(`${from} to ${to}: ${label}; sent ${ms(sentMs)}, ${arrivedMs === null ? "did not arrive" : `arrived ${ms(arrivedMs)}`}`)}</title>`;
  if (arrivedMs === null) {
    const isLost = endMs - sentMs > ON_ITS_WAY_MS / 5;
    const [x2, y2] = [x1 + (xOf(to) - x1) * 0.3, y1 + 14];
    const line = `<line class="k-${kind}${isLost ? "" : " under-way"}" x1="${x1}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`;
    return `<g class="message">${title}${line}${isLost ? crossAt(x2, y2) : ""}</g>`;
  }
  const [x2, y2] = [xOf(to), arrivedMs > untilMs ? scale.bottom + 20 : scale.yOf(arrivedMs)];
  const line = `<line class="k-${kind}${isCopy ? " copy" : ""}" x1="${x1}" y1="${round(y1)}" x2="${x2}" y2="${round(y2)}"/>`;
  return `<g class="message">${title}${line}${arrivedMs > untilMs ? "" : tip(kind, x1, y1, x2, y2)}</g>`;
}

function tip(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  const corner = (side: number): string =>
    `${round(x2 - 9 * dx + side * 3.5 * dy)},${round(y2 - 9 * dy - side * 3.5 * dx)}`;
  return `<polygon class="tip k-${kind}" points="${x2},${round(y2)} ${corner(1)} ${corner(-1)}"/>`;
}

function crossAt(x: number, y: number): string {
  const [left, right, above, below] = [round(x - 4), round(x + 4), round(y - 4), round(y + 4)];
  return `<path class="cross" d="M${left} ${above}L${right} ${below}M${left} ${below}L${right} ${above}"/>`;
}

function markSign({ scale }: Canvas, { node, atMs, kind, label }: Mark): string {
  const [x, y] = [xOf(node), scale.yOf(atMs)];
  const title = `<title>${escaped(`node ${node}, ${ms(atMs)}: ${label}`)}</title>`;
  if (kind === "phase") return `<circle class="phase" cx="${x}" cy="${round(y)}" r="3">${title}</circle>`;
  const words = text(
    `sign ${kind}`,
    x - 10,
    y + 4,
    shortened(kind === "crash" ? "✕ crash" : kind === "start" ? "▲ start" : label),
    "end",
  );
  return `<g>${title}<circle class="sign ${kind}" cx="${x}" cy="${round(y)}" r="5"/>${words}</g>`;
}

/** What a node sent at one moment, told once beside its line. */
function sentLabels({ arrows, scale, fromMs }: Canvas): readonly string[] {
  const said = new Map<string, { readonly from: number; readonly sentMs: number; readonly labels: Set<string> }>();
  for (const { from, sentMs, label } of arrows) {
    if (sentMs < fromMs || !isLabelled(label)) continue;
    const key = `${from}/${sentMs}`;
    const group = said.get(key) ?? { from, sentMs, labels: new Set() };
    said.set(key, group);
    group.labels.add(label);
  }
  return [...said.values()].map(({ from, sentMs, labels }) => {
    const words = [...labels].join(", ");
    return text(`label t-${kindOf(words)}`, xOf(from) + 8, scale.yOf(sentMs) - 3, shortened(words), "start", words);
  });
}

function phaseLabels({ marks, scale }: Canvas): readonly string[] {
  const done = new Map<string, { readonly node: number; readonly atMs: number; readonly labels: string[] }>();
  for (const { node, atMs, kind, label } of marks) {
    if (kind !== "phase") continue;
    const group = done.get(`${node}/${atMs}`) ?? { node, atMs, labels: [] };
    done.set(`${node}/${atMs}`, group);
    group.labels.push(label);
  }
  return [...done.values()].map(({ node, atMs, labels }) => {
    const words = labels.join(", ");
    return text("label step", xOf(node) - 8, scale.yOf(atMs) + 4, shortened(words), "end", words);
  });
}

function faultBars({ plan, scale, lines, fromMs, untilMs }: Canvas, width: number): readonly string[] {
  const x = xOf(lines - 1) + 130;
  let freeY = Number.NEGATIVE_INFINITY;
  const bars = [...plan.faults]
    .sort((left, right) => left.atMs - right.atMs)
    .flatMap((fault, index) => {
      const [beganMs, endedMs] = timeOf(fault);
      if (beganMs > untilMs || endedMs < fromMs) return [];
      const [y1, y2] = [scale.yOf(Math.max(fromMs, beganMs)), scale.yOf(Math.min(untilMs, endedMs))];
      const barX = x + (index % 3) * 5;
      freeY = Math.max(freeY + 14, y1 + 4);
      const words = describe(fault);
      return [
        `<line class="fault" x1="${barX}" y1="${round(y1)}" x2="${barX}" y2="${round(Math.max(y2, y1 + 3))}"/>`,
        text("fault", x + 18, freeY, shortened(words), "start", words),
      ];
    });
  if (plan.chaosMs < fromMs || plan.chaosMs > untilMs) return bars;
  const y = round(scale.yOf(plan.chaosMs));
  return [
    ...bars,
    `<line class="calm" x1="86" y1="${y}" x2="${width - 24}" y2="${y}"/>`,
    text("fault", x + 18, y - 4, "faults end"),
  ];
}

function timeOf(fault: Fault): readonly [beganMs: number, endedMs: number] {
  const forMs = fault.kind === "crash" || fault.kind === "lost-disk" ? fault.downMs : fault.durationMs;
  return [fault.atMs, fault.atMs + forMs];
}

function describe(fault: Fault): string {
  switch (fault.kind) {
    case "partition":
      return `partition ${fault.blocked.map(([from, to]) => `${from}↛${to}`).join(" ")}`;
    case "loss":
      return `loss of kinds ${fault.messages.join(",")}: ${fault.from.join(",")} to ${fault.to.join(",")}`;
    case "crash":
      return `crash of ${fault.node}${fault.operations === 0 ? "" : ` after ${fault.operations} operations`}`;
    default:
      return `${fault.kind} of ${fault.node}`;
  }
}

/** Hints and bundles are drawn and not named: there are too many of them. */
function isLabelled(label: string): boolean {
  const kind = kindOf(label);
  return kind !== "status" && kind !== "bundles";
}

function text(name: string, x: number, y: number, words: string, anchor = "start", title = words): string {
  const whole = title === words ? "" : `<title>${escaped(title)}</title>`;
  return `<text class="${name}" x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${whole}${escaped(words)}</text>`;
}

function shortened(words: string): string {
  return words.length > LABEL_CHARS_MAX ? `${words.slice(0, LABEL_CHARS_MAX - 1)}…` : words;
}

function escaped(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function xOf(place: number): number {
  return LEFT + place * COLUMN;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function ms(value: number): string {
  return value.toFixed(1);
}
