import type { Random } from "./random.ts";
import { mutate, type Sources } from "./mutator.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What JSON parsers and their users trip over. */
const HOSTILE_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1.5,
  1e308,
  Number.MAX_SAFE_INTEGER,
  "",
  " ",
  "\u0000",
  "\ud800",
  "%s",
  "__proto__",
  "=",
  "AAAA",
  "AAA",
  "a".repeat(300),
  "A".repeat(5_000),
  "0".repeat(64),
  "127.0.0.1:65536",
  "[::1]:1",
  "2026-02-30T00:00:00Z",
  "9999-99-99T99:99:99Z",
  [],
  [[]],
  {},
  { toString: 1, valueOf: 1 },
  { toJSON: 1 },
  { length: 5 },
  { payload: "" },
];

const HOSTILE_KEYS: readonly string[] = ["__proto__", "constructor", "toString", "valueOf", "", "toJSON", "length"];

/** Replaces, drops, doubles or renames parts of a JSON document, and now and then breaks it as bytes. */
export function mutateJson(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  if (random.chance(0.2)) return mutate(random, input, sources);
  let document: unknown;
  try {
    document = JSON.parse(decoder.decode(input));
  } catch {
    return mutate(random, input, sources);
  }
  if (random.chance(0.03)) return nested(random, sources.sizeMax);
  for (let count = 1 + random.below(3); count > 0; count--) document = changed(random, document, 0);
  // JSON.stringify drops what stands under `__proto__` only where it is inherited, and leaves it where it is a member.
  return encoder.encode(JSON.stringify(document) ?? "").subarray(0, sources.sizeMax);
}

function changed(random: Random, value: unknown, depth: number): unknown {
  const isLeaf = typeof value !== "object" || value === null;
  if (isLeaf || random.chance(depth === 0 ? 0.02 : 0.3)) return replaced(random, value);
  if (Array.isArray(value)) {
    const parts: unknown[] = [...value];
    const at = random.below(parts.length + 1);
    const action = random.below(4);
    if (action === 0) parts.splice(at, 1);
    else if (action === 1) parts.splice(at, 0, parts[random.below(parts.length)] ?? random.pick(HOSTILE_VALUES));
    else if (at < parts.length) parts[at] = changed(random, parts[at], depth + 1);
    return parts;
  }
  const entries = Object.entries(value);
  const at = random.below(entries.length);
  const entry = entries[at];
  const action = random.below(8);
  if (entry === undefined || action === 0) entries.push([random.pick(HOSTILE_KEYS), random.pick(HOSTILE_VALUES)]);
  else if (action === 1) entries.splice(at, 1);
  else if (action === 2) entries[at] = [`${entry[0]}${random.pick(["", "x", "_"])}`, entry[1]];
  else entries[at] = [entry[0], changed(random, entry[1], depth + 1)];
  return Object.fromEntries(entries);
}

function replaced(random: Random, value: unknown): unknown {
  if (typeof value === "number" && random.chance(0.5)) return value + random.pick([-1, 1, 0.5]);
  if (typeof value !== "string" || random.chance(0.5)) return random.pick(HOSTILE_VALUES);
  const at = random.below(value.length + 1);
  const insert = random.pick(["", "A", "=", "é", "\n", " ", "0"]);
  return value.slice(0, at) + insert + value.slice(at + random.below(3));
}

/** Depth that a recursive reader would pay for with its stack. */
function nested(random: Random, sizeMax: number): Uint8Array {
  const [open, close] = random.pick([
    ["[", "]"],
    ['{"version":', "}"],
    ['{"payloads":[', "]}"],
    ['{"epoch":[', "]}"],
  ] as const);
  const depth = random.below(Math.floor(sizeMax / (open.length + close.length)));
  return encoder.encode(`${open.repeat(depth)}1${random.chance(0.7) ? close.repeat(depth) : ""}`);
}

const TOML_VALUES: readonly string[] = [
  "0",
  "-1",
  "65536",
  "9007199254740993",
  "1e999",
  "nan",
  "inf",
  "0x7fffffff",
  '""',
  '"\\u0000"',
  '"a,b"',
  "true",
  "[]",
  '["x"]',
  "[[[[1]]]]",
  "{}",
  "{ a = { b = 1 } }",
  "1979-05-27",
  "1979-05-27T07:32:00Z",
  "07:32:00",
  "'''",
  '"""',
  '"../.."',
  '["/ip4/1.2.3.4/udp/9/quic"]',
  '"0.0.0.0:70000"',
  '"[::]:1"',
];

/** Lines of TOML doubled, dropped, moved, with other values, under other headers. */
export function mutateToml(random: Random, input: Uint8Array, sources: Sources): Uint8Array {
  if (random.chance(0.25)) return mutate(random, input, sources);
  if (random.chance(0.02)) {
    const depth = random.below(sources.sizeMax / 2);
    return encoder.encode(`a = ${"[".repeat(depth)}${"]".repeat(depth)}`).subarray(0, sources.sizeMax);
  }
  const lines = decoder.decode(input).split("\n");
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(lines.length);
    const line = lines[at] ?? "";
    const [key] = line.split("=");
    const action = random.below(6);
    if (action === 0) lines.splice(at, 1);
    else if (action === 1) lines.splice(random.below(lines.length + 1), 0, line);
    else if (action === 2)
      lines[at] =
        `${random.pick(["__proto__", "toString", "a.b.c", '"q.\\n"', "[[x]]", "[__proto__]"])}${random.pick(["", " = 1"])}`;
    else if (line.includes("=")) lines[at] = `${key}= ${random.pick(TOML_VALUES)}`;
  }
  return encoder.encode(lines.join("\n")).subarray(0, sources.sizeMax);
}
