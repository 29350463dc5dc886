/** A curve of a chart: points from left to right. */
export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly curves: readonly Curve[];
  /** Powers of ten instead of equal steps. */
  readonly xLog: boolean;
  readonly yLog: boolean;
  /** What lies outside is cut off at the edge. Above 0 where the scale is logarithmic. */
  readonly yRange: readonly [low: number, high: number];
  /** Where the x axis has a mark. */
  readonly xTicks: readonly number[];
}

const WIDTH = 760;
const HEIGHT = 460;
const LEFT = 76;
const RIGHT = 24;
const TOP = 48;
const BOTTOM = 112;

/** Distinguishable without red against green, on light and on dark pages (Okabe and Ito). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#a05195", "#c99700", "#56b4e9"] as const;
const DASHES = ["", "7 4", "2 4", "9 3 2 3", "12 5", "4 2"] as const;

/** The chart as an SVG file with its own background. */
export function chartSvg(chart: Chart): string {
  const x = xPlace(chart);
  const y = yPlace(chart);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="ui-sans-serif,system-ui,Helvetica,Arial,sans-serif" font-size="12">`,
    `<title>${escaped(chart.title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(LEFT, 26, chart.title, 'font-size="15" font-weight="600"'),
    ...chart.xTicks.map(
      (tick) =>
        line(x(tick), TOP, x(tick), HEIGHT - BOTTOM, "#e6eaf0") +
        text(x(tick), HEIGHT - BOTTOM + 18, label(tick), middle),
    ),
    ...ticks(chart).map(
      (tick) =>
        line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "#e6eaf0") +
        text(LEFT - 8, y(tick) + 4, label(tick), 'text-anchor="end"'),
    ),
    line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#5b6470"),
    line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "#5b6470"),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 38, chart.xTitle, middle),
    `<text transform="translate(20 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle" fill="#1c2430">${escaped(chart.yTitle)}</text>`,
    ...chart.curves.map((curve, index) => curveSvg(curve, index, x, y)),
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

const middle = 'text-anchor="middle"';

type Place = (value: number) => number;

function curveSvg({ name, points }: Curve, index: number, x: Place, y: Place): string {
  const colour = COLOURS[index % COLOURS.length] ?? COLOURS[0];
  const dash = DASHES[index % DASHES.length] ?? "";
  const path = points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(" ");
  const dots =
    points.length > 12
      ? []
      : points.map(([px, py]) => `<circle cx="${x(px).toFixed(1)}" cy="${y(py).toFixed(1)}" r="3" fill="${colour}"/>`);
  const at = { x: LEFT + (index % 2) * 340, y: HEIGHT - 50 + Math.floor(index / 2) * 18 };
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2" stroke-dasharray="${dash}"/>`,
    ...dots,
    `<line x1="${at.x}" y1="${at.y - 4}" x2="${at.x + 30}" y2="${at.y - 4}" stroke="${colour}" stroke-width="2" stroke-dasharray="${dash}"/>`,
    text(at.x + 38, at.y, name, ""),
  ].join("");
}

/** The chart in so many columns and rows of a terminal; each curve is drawn with a letter of its own. */
export function chartText(chart: Chart, columns: number, rows: number): string {
  const grid = Array.from({ length: rows }, () => Array.from({ length: columns }, () => " "));
  const [left, right] = ends(chart);
  for (const [index, { points }] of chart.curves.entries()) {
    for (let column = 0; column < columns; column++) {
      const share = column / (columns - 1);
      const wanted = chart.xLog ? left * (right / left) ** share : left + (right - left) * share;
      const near = points.reduce(
        (best, point) => (Math.abs(point[0] - wanted) < Math.abs(best[0] - wanted) ? point : best),
        points[0] ?? [0, 0],
      );
      const row = rows - 1 - Math.round(fraction(near[1], chart.yRange, chart.yLog) * (rows - 1));
      const cells = grid[row];
      if (cells !== undefined) cells[column] = letter(index);
    }
  }
  const [low, high] = chart.yRange;
  const side = (row: number): string => (row === 0 ? label(high) : row === rows - 1 ? label(low) : "").padStart(8);
  return [
    chart.title,
    ...grid.map((cells, row) => `${side(row)} |${cells.join("").trimEnd()}`),
    `${"".padStart(8)} +${"-".repeat(columns)}`,
    `${"".padStart(10)}${label(left).padEnd(columns - label(right).length)}${label(right)}  ${chart.xTitle}`,
    ...chart.curves.map(({ name }, index) => `${"".padStart(10)}${letter(index)}  ${name}`),
  ].join("\n");
}

function letter(index: number): string {
  return "abcdef"[index] ?? "*";
}

function ends({ curves }: Chart): readonly [number, number] {
  const xs = curves.flatMap(({ points }) => points.map(([x]) => x));
  return [Math.min(...xs), Math.max(...xs)];
}

function xPlace(chart: Chart): Place {
  const range = ends(chart);
  return (value) => LEFT + fraction(value, range, chart.xLog) * (WIDTH - LEFT - RIGHT);
}

function yPlace(chart: Chart): Place {
  return (value) => HEIGHT - BOTTOM - fraction(value, chart.yRange, chart.yLog) * (HEIGHT - TOP - BOTTOM);
}

/** Where a value lies between the ends of its axis, 0 .. 1. */
function fraction(value: number, [low, high]: readonly [number, number], isLog: boolean): number {
  if (low === high) return 0;
  const share = isLog ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.min(1, Math.max(0, share));
}

/** Some marks of the y axis: powers of ten, or five equal steps. */
function ticks({ yRange: [low, high], yLog }: Chart): readonly number[] {
  if (!yLog) return [0, 1, 2, 3, 4, 5].map((step) => low + ((high - low) * step) / 5);
  const [from, to] = [Math.round(Math.log10(low)), Math.round(Math.log10(high))];
  const step = Math.max(1, Math.ceil((to - from) / 8));
  const powers: number[] = [];
  for (let power = from; power <= to; power += step) powers.push(10 ** power);
  return powers;
}

function label(value: number): string {
  if (value !== 0 && (value < 1e-3 || value >= 1e5)) return value.toExponential(0).replace("+", "");
  return String(Number(value.toPrecision(3)));
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${colour}"/>`;
}

function text(x: number, y: number, words: string, attributes: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="#1c2430" ${attributes}>${escaped(words)}</text>`;
}

function escaped(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
