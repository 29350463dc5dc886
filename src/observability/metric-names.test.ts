import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeId } from "../crypto/identity.ts";
import { METRICS, metricsTable } from "./metric-names.ts";
import { createNodeMetrics } from "./node-metrics.ts";

const FILE = join(import.meta.dirname, "../../docs/metrics.md");
const HEADER = `# Metrics

Prometheus text at \`http://127.0.0.1:9090/metrics\` (\`[metrics]\` in \`node.toml\`). Generated from \`src/observability/metric-names.ts\`.

`;

test("docs/metrics.md is what the declaration says (UPDATE=1 rewrites it)", () => {
  const wanted = `${HEADER}${metricsTable()}\n`;
  if (process.env["UPDATE"] === "1") writeFileSync(FILE, wanted);
  expect(readFileSync(FILE, "utf8")).toBe(wanted);
});

test("every declared metric is in the text that a scrape gets", async () => {
  const text = await createNodeMetrics().text();
  for (const name of Object.keys(METRICS)) expect(text).toContain(`# TYPE ${name} `);
});

test("a peer cannot make the registry grow: reasons beyond the bound are counted as other", async () => {
  const metrics = createNodeMetrics();
  for (let index = 0; index < 500; index++) metrics.observer.onIgnored("0".repeat(64) as NodeId, `reason-${index}`);
  const lines = (await metrics.text()).split("\n").filter((line) => line.startsWith("cretoai_messages_ignored_total{"));
  expect(lines.length).toBeLessThan(70);
  expect(lines.find((line) => line.includes('reason="other"'))).toEndWith(" 436");
});
