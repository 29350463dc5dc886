import type { WorkflowStep } from "../../src/client/main.ts";

/** Ten steps: one, four at a time, one, three at a time, one. */
export function workflowSteps(): readonly WorkflowStep[] {
  const [parts, checks] = [
    ["part-1", "part-2", "part-3", "part-4"],
    ["check-1", "check-2", "check-3"],
  ] as const;
  return [
    { name: "plan" },
    ...parts.map((name) => ({ name, handler: "part", dependsOn: ["plan"], input: name })),
    { name: "join", dependsOn: parts },
    ...checks.map((name) => ({ name, handler: "check", dependsOn: ["join"] })),
    { name: "end", dependsOn: checks },
  ];
}
