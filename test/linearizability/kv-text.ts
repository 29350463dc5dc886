import type { Operation } from "./history.ts";
import type { Expected, KvInput, KvOutput, Seen } from "./kv-operations.ts";
import type { Cell } from "./kv-state.ts";

const VALUE_CHARACTERS_MAX = 40;

export function describeOperation({ input, outcome }: Operation<KvInput, KvOutput>): string {
  const answer = outcome.type === "ok" ? describeOutput(outcome.output) : outcome.type === "failed" ? "failed" : "?";
  return `${describeInput(input)} -> ${answer}`;
}

export function describeCell({ value, version }: Cell): string {
  if (value === null) return "absent";
  return `${quoted(value)} (version ${version ?? "not seen yet"})`;
}

function describeInput(input: KvInput): string {
  switch (input.type) {
    case "get":
    case "delete":
      return `${input.type} ${input.key}`;
    case "put":
      return `put ${input.key} ${quoted(input.value)}`;
    case "compare-and-set":
      return `compare-and-set ${input.key} from ${describeExpected(input.expected)} to ${input.next === null ? "absent" : quoted(input.next)}`;
    case "range":
      return `range ${input.from}..${input.to ?? ""} limit ${input.limit}${input.reverse ? " reverse" : ""}`;
  }
}

function describeOutput(output: KvOutput): string {
  switch (output.type) {
    case "read":
      return output.item === null ? "absent" : describeItem(output.item);
    case "written":
      return output.version === "untold" ? "done" : `version ${output.version}, was ${describeSeen(output.previous)}`;
    case "conflict":
      return `conflict, is ${describeSeen(output.current)}`;
    case "items":
      return `[${output.items.map((item) => `${item.key} ${describeItem(item)}`).join(", ")}]`;
  }
}

function describeItem({ value, version }: { readonly value: string; readonly version: number | "untold" }): string {
  return version === "untold" ? quoted(value) : `${quoted(value)} (version ${version})`;
}

function describeSeen(seen: Seen): string {
  return typeof seen === "number" ? `version ${seen}` : seen;
}

function describeExpected(expected: Expected): string {
  switch (expected.type) {
    case "absent":
      return "absent";
    case "version":
      return `version ${expected.version}`;
    case "value":
      return quoted(expected.value);
  }
}

function quoted(value: string): string {
  const text = value.length > VALUE_CHARACTERS_MAX ? `${value.slice(0, VALUE_CHARACTERS_MAX)}...` : value;
  return JSON.stringify(text);
}
