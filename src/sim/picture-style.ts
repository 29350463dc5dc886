/** Kinds of messages with a colour of their own, as a run goes through them. */
export const KINDS = [
  "pre-prepare",
  "prepare",
  "commit",
  "checkpoint",
  "view-change",
  "new-view",
  "query",
  "answer",
  "votes",
  "bundles",
  "status",
  "garbage",
] as const;
export type PictureKind = (typeof KINDS)[number];

/** By the first thing that a frame says; the longest name first, as "prepare" begins like others. */
export function kindOf(label: string): PictureKind {
  return KINDS.find((kind) => label === kind || label.startsWith(`${kind} `)) ?? "garbage";
}

/** On light and on dark pages; distinguishable without red against green (Okabe and Ito). */
const COLOURS: Readonly<Record<PictureKind, readonly [light: string, dark: string]>> = {
  "pre-prepare": ["#0060a8", "#5ab4f2"],
  prepare: ["#007a5a", "#2fc99d"],
  commit: ["#6a3d9a", "#bd9bea"],
  checkpoint: ["#5b6470", "#a9b4c2"],
  "view-change": ["#c24a00", "#ff9250"],
  "new-view": ["#a3005c", "#ff7fc2"],
  query: ["#8fa3b8", "#4d6076"],
  answer: ["#b58fb8", "#6b4d70"],
  votes: ["#007a5a", "#2fc99d"],
  bundles: ["#c9a227", "#8d7524"],
  status: ["#c4ccd6", "#434d5a"],
  garbage: ["#111111", "#f4f4f4"],
};

function coloured(which: 0 | 1): string {
  return KINDS.map((kind) => {
    const colour = COLOURS[kind][which];
    return `.k-${kind}{stroke:${colour}}.tip.k-${kind}{fill:${colour}}.t-${kind}{fill:${colour}}`;
  }).join("");
}

/** Plain colours instead of variables: not only browsers show SVG. */
export const PICTURE_STYLE: string = [
  "text{font:12px ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1c2430}",
  ".title{font-size:17px;font-weight:600}.node{font-weight:600;font-size:13px}.legend{font-size:12.5px}",
  ".page{fill:#ffffff}.name{fill:#eef2f7;stroke:#9aa7b8}.name.liar{fill:#ffe3dc;stroke:#d03a1a}",
  ".lies{fill:#b02c10;font-size:11.5px}.time,.gap{font-size:11px;fill:#5b6470;font-variant-numeric:tabular-nums}",
  ".grid{stroke:#eef1f5}.life{stroke:#7d8a9b;stroke-width:1.6}.life.liar{stroke:#d03a1a}",
  ".life.down{stroke-dasharray:2 6;stroke-width:1.4}line[class^='k-']{stroke-width:1.4}",
  ".k-status,.k-bundles{opacity:.75}.copy{stroke:#888;stroke-dasharray:5 4}.under-way{stroke-dasharray:3 3}",
  ".k-lost{stroke:#d03a1a}.k-copy{stroke:#888;stroke-dasharray:5 4}.cross{stroke:#d03a1a;stroke-width:2;fill:none}",
  ".label{font-size:11.5px;paint-order:stroke;stroke:#ffffff;stroke-width:3px;stroke-linejoin:round}",
  ".step{fill:#5b6470;font-style:italic}.phase{fill:#5b6470}.sign{stroke:none}circle.start{fill:#007a5a}",
  "circle.crash,circle.note{fill:#d03a1a}text.crash,text.note{fill:#b02c10;font-weight:600}text.start{fill:#007a5a;font-weight:600}",
  "text.sign{paint-order:stroke;stroke:#ffffff;stroke-width:3px}line.fault{stroke:#d98200;stroke-width:4}",
  "text.fault{fill:#8a5200;font-size:11.5px}.calm{stroke:#007a5a;stroke-dasharray:8 5}.message:hover line{stroke-width:3.2}",
  coloured(0),
  "@media (prefers-color-scheme: dark){text{fill:#e6ebf2}.page{fill:#12171e}.name{fill:#1f2833;stroke:#5d6b7c}",
  ".name.liar{fill:#4a1d14;stroke:#ff7a5c}.lies{fill:#ff9d86}.time,.gap,.step{fill:#9eabbb}.grid{stroke:#1e2630}",
  ".life{stroke:#66748a}.life.liar{stroke:#ff7a5c}.label,text.sign{stroke:#12171e}.phase{fill:#9eabbb}",
  "text.fault{fill:#f0b45a}text.crash,text.note{fill:#ff9d86}text.start{fill:#2fc99d}.cross,.k-lost{stroke:#ff7a5c}",
  coloured(1),
  "}",
].join("");
