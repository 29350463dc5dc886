import { RANGE_ENTRIES_MAX } from "../replication/key-value/kv-query.ts";
import { CONSISTENCY, NAME_HEADERS, ORDER_PROBLEMS, TIMEOUT } from "./application-table.ts";
import { deleteKey, getKey, getRange, putKey } from "./kv-routes.ts";
import { PAGE_ITEMS_DEFAULT } from "./limits.ts";
import type { ProblemKind } from "./problem.ts";
import type { Parameter, Route } from "./route.ts";

const READ: readonly Parameter[] = [
  { name: "consistency", description: CONSISTENCY.description, schema: CONSISTENCY },
  TIMEOUT,
];

const text = { type: "string" };

const RANGE: readonly Parameter[] = [
  { name: "prefix", description: "keys that begin with it", schema: text },
  { name: "from", description: "the lowest key, inclusive", schema: text },
  { name: "to", description: "the end, exclusive", schema: text },
  {
    name: "limit",
    description: "the most items; a page of large values ends before",
    schema: { type: "integer", minimum: 1, maximum: RANGE_ENTRIES_MAX, default: PAGE_ITEMS_DEFAULT },
  },
  { name: "reverse", description: "from the highest key down", schema: { type: "boolean", default: false } },
];

const KEY: readonly Parameter[] = [
  {
    name: "key",
    description: 'the key, in the place of an empty one in the path: for "." and "..", which no address can hold there',
    schema: text,
  },
];

const CONDITIONS: readonly Parameter[] = [
  { name: "if-match", description: "only if the key has this version", schema: text },
  { name: "if-none-match", description: "`*`: only if there is no such key", schema: { type: "string", enum: ["*"] } },
];

const READ_PROBLEMS: readonly ProblemKind[] = ["malformed", "no-application", ...ORDER_PROBLEMS];

const WRITE_PROBLEMS: readonly ProblemKind[] = [
  "malformed",
  "no-application",
  "number-forgotten",
  "number-used",
  "version-conflict",
  ...ORDER_PROBLEMS,
];

const ONCE = "With client and number in headers exactly once; without them it is not safe to repeat blindly";

/** Routes of the key-value store. */
export const KV_ROUTES: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/kv",
    summary:
      "Keys with values and versions, in the order of the keys' UTF-8 bytes, as of a position: changes from the next one on are not in them",
    query: [...RANGE, ...READ],
    answers: { 200: "KeyValueRange" },
    problems: READ_PROBLEMS,
    handle: getRange,
  },
  {
    method: "GET",
    path: "/v1/kv/{key}",
    isWhole: true,
    summary: "One key. The ETag is its version",
    query: [...KEY, ...READ],
    answers: { 200: "KeyValueEntry" },
    problems: [...READ_PROBLEMS, "no-such-key"],
    handle: getKey,
  },
  {
    method: "PUT",
    path: "/v1/kv/{key}",
    isWhole: true,
    summary: `Write the body's bytes. ${ONCE}`,
    query: [...KEY, TIMEOUT],
    headers: [...CONDITIONS, ...NAME_HEADERS],
    body: { "application/octet-stream": {} },
    answers: { 200: "KeyWritten" },
    problems: [...WRITE_PROBLEMS, "payload-too-large"],
    handle: putKey,
  },
  {
    method: "DELETE",
    path: "/v1/kv/{key}",
    isWhole: true,
    summary: `Delete a key; one that is not there stays so. ${ONCE}`,
    query: [...KEY, TIMEOUT],
    headers: [...CONDITIONS, ...NAME_HEADERS],
    answers: { 200: "KeyWritten" },
    problems: WRITE_PROBLEMS,
    handle: deleteKey,
  },
];
