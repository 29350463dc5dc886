// Remakes the tables and plots of docs/avalanche-parameters.md: npm run sampling
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chartSvg } from "../src/sim/sampling/chart.ts";
import { samplingDocument } from "../src/sim/sampling/document.ts";

const docs = fileURLToPath(new URL("../docs", import.meta.url));
const file = `${docs}/avalanche-parameters.md`;
const { tables, plots } = samplingDocument();

let text = readFileSync(file, "utf8");
for (const [name, table] of Object.entries(tables)) {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`${file} has no place for the table ${name}: ${begin} and ${end} are missing`);
  text = `${text.slice(0, from + begin.length)}\n${table}\n${text.slice(to)}`;
}
writeFileSync(file, text);
mkdirSync(`${docs}/images`, { recursive: true });
for (const [name, chart] of Object.entries(plots)) writeFileSync(`${docs}/images/${name}`, chartSvg(chart));
console.log(file);
