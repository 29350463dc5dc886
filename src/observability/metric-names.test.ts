import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeId } from "../crypto/identity.ts";
import type { Sequence, View } from "../membership/ids.ts";
import type { NodeStatus } from "../node/service.ts";
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

test("violations are counted by type from zero on, and peers' scores are bounded in number", async () => {
  const metrics = createNodeMetrics();
  metrics.onViolation("replay", 0);
  metrics.onViolation("invalid-signature");
  metrics.observer.onIgnored("0".repeat(64) as NodeId, "command-not-understood: some particulars");
  const text = await metrics.text();
  expect(text).toContain('cretoai_messages_ignored_total{reason="command-not-understood"} 1');
  expect(text).toContain('cretoai_byzantine_violations_total{type="replay"} 0');
  expect(text).toContain('cretoai_byzantine_violations_total{type="invalid-signature"} 1');
  expect(text).toContain("cretoai_invalid_signatures_detected 1");
  const reports = Array.from({ length: 500 }, (_, index) => ({
    nodeId: index.toString(16).padStart(16, "0").padEnd(64, "0") as NodeId,
    score: 1 - index / 1_000,
    state: index === 499 ? ("banned" as const) : ("good" as const),
    violations: {},
    ban: null,
  }));
  metrics.onCollect(() => Promise.resolve({ ...COLLECTED, reports }));
  const scores = (await metrics.text()).split("\n");
  expect(scores.filter((line) => line.startsWith("cretoai_node_reputation_score{")).length).toBe(64);
  expect(scores).toContain('cretoai_node_reputation_score{peer="00000000000001f3"} 0.501');
  expect(scores).toContain("cretoai_banned_nodes 1");
});

test("the ordered membership is told: epoch, active validators, and the lowest reputations of those", async () => {
  const metrics = createNodeMetrics();
  metrics.onValidatorSetChanged();
  const members = Array.from({ length: 100 }, (_, index) => ({
    index,
    nodeId: index.toString(16).padStart(16, "0").padEnd(64, "0") as NodeId,
    name: `node-${index}`,
    address: "",
    standing: index === 99 ? ("convicted" as const) : ("active" as const),
    condemned: null,
    reputationPpm: 1_000_000 - index * 1_000,
    activeSinceEpoch: 0,
    lastActiveEpoch: null,
    waiting: null,
    isSelf: false,
  }));
  metrics.onCollect(() => Promise.resolve({ ...COLLECTED, reports: [], membership: { ...MEMBERSHIP, members } }));
  const lines = (await metrics.text()).split("\n");
  expect(lines).toContain("cretoai_epoch 3");
  expect(lines).toContain("cretoai_validators_active 99");
  expect(lines).toContain("cretoai_validator_set_changes_total 1");
  expect(lines).toContain('cretoai_validator_reputation{validator="0000000000000062"} 0.902');
  const told = lines.filter((line) => line.startsWith("cretoai_validator_reputation{"));
  expect(told.length).toBe(64);
  expect(told.some((line) => line.includes("0000000000000063"))).toBe(false);
});

test("the latency of a place is its engine's, from a replica's first word about it to its execution", async () => {
  for (const [engine, begin] of [
    ["pbft", "pre-prepare"],
    ["hotstuff", "prepare"],
    ["avalanche", "pre-prepare"],
  ] as const) {
    const metrics = createNodeMetrics(engine);
    const trace = { view: 1 as View, sequence: 1 as Sequence, detail: "" };
    metrics.observer.onTrace({ ...trace, phase: begin });
    metrics.observer.onTrace({ ...trace, phase: "execute" });
    // A block without content, on the way to the commit of the next one.
    metrics.observer.onTrace({ ...trace, phase: begin });
    metrics.observer.onTrace({ ...trace, phase: "execute" });
    const algorithm = engine === "hotstuff" ? engine : "pbft";
    expect(await metrics.text()).toContain(`cretoai_consensus_latency_seconds_count{algorithm="${algorithm}"} 1\n`);
  }
});

test("a leaderless engine tells its polls, its conflicts and whether it is cut off", async () => {
  const metrics = createNodeMetrics();
  const trace = { view: 0 as View, sequence: 0 as Sequence };
  metrics.observer.onTrace({ phase: "poll", ...trace, detail: "1 about 4 lanes asks 3" });
  metrics.observer.onTrace({ phase: "polled", ...trace, detail: "1", durationMs: 12 });
  metrics.observer.onTrace({ phase: "resolve", ...trace, detail: "reported abc place" });
  const dag: NonNullable<NodeStatus["dag"]> = {
    undecidedBundles: 3,
    undecidedVertices: 7,
    conflicts: 2,
    pollsUnderWay: 1,
    polls: 1,
    queryTimeouts: 4,
    timeoutShare: 0.75,
    isPartitioned: true,
    mayVote: false,
  };
  metrics.onCollect(() => Promise.resolve({ ...COLLECTED, reports: [], status: { ...COLLECTED.status, dag } }));
  const lines = (await metrics.text()).split("\n");
  expect(lines).toContain("cretoai_avalanche_polls_total 1");
  expect(lines).toContain('cretoai_avalanche_resolutions_total{step="reported"} 1');
  expect(lines).toContain("cretoai_avalanche_partitioned 1");
  expect(lines).toContain("cretoai_avalanche_may_vote 0");
  expect(lines).toContain("cretoai_avalanche_conflicts 2");
  expect(lines).toContain("cretoai_avalanche_query_timeout_ratio 0.75");
  expect(lines).toContain("cretoai_avalanche_query_timeouts 4");
  expect(lines).toContain('cretoai_avalanche_poll_seconds_bucket{le="0.01"} 0');
  expect(lines).toContain('cretoai_avalanche_poll_seconds_bucket{le="0.025"} 1');
});

const MEMBERSHIP = {
  epoch: 3,
  afterBatch: 40,
  policy: { min: 3, max: 100 },
  active: 99,
  faultTolerance: 32,
  quorum: 66,
  members: [],
  pending: [],
};

const COLLECTED = {
  status: { view: 0, lastSequence: 0, pending: 0, stableCheckpoint: 0, dag: null } as unknown as NodeStatus,
  participation: 1,
  membership: MEMBERSHIP,
  peers: [],
  storage: { runningCompactions: 0, pendingWrites: 0 },
  diskBytes: 0,
};
