import { CODEC_TARGETS } from "./codec-targets.ts";
import { DAG_ANSWER } from "./dag-sync-target.ts";
import { DAG_TARGETS } from "./dag-targets.ts";
import { HOTSTUFF_TARGETS } from "./hotstuff-targets.ts";
import { REPLICATION_TARGETS } from "./replication-targets.ts";
import { ASSEMBLER_TARGET, HANDSHAKE_TARGETS } from "./stream-targets.ts";
import type { Target } from "./target.ts";
import { TEXT_TARGETS } from "./text-targets.ts";
import { WORKFLOW_TARGETS } from "./workflow-targets.ts";

/** Every decoder that reads what others wrote. */
export const TARGETS: readonly Target[] = [
  ...CODEC_TARGETS,
  ...DAG_TARGETS,
  ...HOTSTUFF_TARGETS,
  ...REPLICATION_TARGETS,
  ...WORKFLOW_TARGETS,
  DAG_ANSWER,
  ASSEMBLER_TARGET,
  ...HANDSHAKE_TARGETS,
  ...TEXT_TARGETS,
];

export function targetNamed(name: string): Target {
  const target = TARGETS.find((candidate) => candidate.name === name);
  if (target === undefined)
    throw new Error(`no target ${name}; there are ${TARGETS.map((known) => known.name).join(", ")}`);
  return target;
}
