import type { Operation, Outcome } from "./history.ts";
import { UNKNOWN } from "./history.ts";
import type { Expected, KvInput, KvOutput } from "./kv-operations.ts";

export type KvOperation = Operation<KvInput, KvOutput>;

const KEY = "x";

/** Histories by hand: `at` is call and return, every answer untold of versions unless it says one. */
export type Times = readonly [calledAt: number, returnedAt: number];

export function operation(client: string, input: KvInput, outcome: Outcome<KvOutput>, at: Times): KvOperation {
  return { client, input, outcome, calledAt: at[0], returnedAt: at[1] };
}

export function put(client: string, value: string, at: Times, version: number | "untold" = "untold"): KvOperation {
  return operation(client, { type: "put", key: KEY, value }, ok({ type: "written", version, previous: "untold" }), at);
}

export function lostPut(client: string, value: string, at: Times): KvOperation {
  return operation(client, { type: "put", key: KEY, value }, UNKNOWN, at);
}

export function get(
  client: string,
  value: string | null,
  at: Times,
  version: number | "untold" = "untold",
): KvOperation {
  const output: KvOutput = { type: "read", item: value === null ? null : { value, version } };
  return operation(client, { type: "get", key: KEY }, ok(output), at);
}

export function remove(client: string, at: Times): KvOperation {
  const output: KvOutput = { type: "written", version: "untold", previous: "untold" };
  return operation(client, { type: "delete", key: KEY }, ok(output), at);
}

export function swap(client: string, from: string | null, to: string, won: boolean, at: Times): KvOperation {
  const expected: Expected = from === null ? { type: "absent" } : { type: "value", value: from };
  const output: KvOutput = won
    ? { type: "written", version: "untold", previous: "untold" }
    : { type: "conflict", current: "untold" };
  return operation(client, { type: "compare-and-set", key: KEY, expected, next: to }, ok(output), at);
}

export function ok(output: KvOutput): Outcome<KvOutput> {
  return { type: "ok", output };
}
