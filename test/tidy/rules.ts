import type { Module } from "./modules.ts";

/** The folders of src that each folder may import, besides itself; the order is that of docs/ARCHITECTURE.md. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  codec: ["lib"],
  crypto: ["lib", "codec"],
  membership: ["lib", "codec", "crypto"],
  dag: ["lib", "codec", "crypto", "membership"],
  consensus: ["lib", "codec", "crypto", "membership", "dag"],
  replication: ["lib", "codec", "crypto", "membership", "dag"],
  peering: ["lib", "codec", "crypto", "membership"],
  // What proves finality to those who trust no node; the client and the command line check with it.
  light: ["lib", "codec", "crypto", "membership", "dag", "replication"],
  node: ["lib", "codec", "crypto", "membership", "dag", "consensus", "replication", "peering", "light"],
  network: ["lib", "codec", "crypto", "membership", "peering", "node"],
  storage: ["lib", "codec", "crypto", "membership", "node"],
  observability: ["lib", "codec", "crypto", "membership", "consensus", "node"],
  api: ["lib", "codec", "crypto", "membership", "replication", "node"],
  // For the tests of those who write applications.
  testing: ["lib", "crypto", "membership", "replication"],
  // Runs in browsers: it speaks HTTP to nodes, and shares no line with them but the check of what they prove.
  client: ["light"],
  // Its liars forge what light clients and joining nodes are shown.
  sim: [
    "lib",
    "codec",
    "crypto",
    "membership",
    "dag",
    "consensus",
    "replication",
    "peering",
    "light",
    "node",
    "storage",
  ],
  cli: ["lib", "codec", "crypto", "membership", "node", "observability", "sim", "light", "client"],
};

/** The only module that may know every adapter. */
const WIRING = "src/node/start.ts";
const ADAPTERS = ["network", "storage", "observability", "api"];

/** What an adapter may know of the node: ports and their vocabulary, never the loop. */
const NODE_FOR_ADAPTERS = ["ports.ts", "write-batch.ts", "service.ts", "application-service.ts", "observer.ts"];

const PURE = ["lib", "codec", "membership", "dag", "consensus", "replication", "peering", "light"];

export function folderOf(file: string): string {
  return file.split("/")[1] ?? "";
}

export function isTest(file: string): boolean {
  return /\.(test|conformance|cases)\.ts$/.test(file);
}

/** Imports that point where they must not. */
export function layerFaults(modules: readonly Module[]): readonly string[] {
  const faults: string[] = [];
  for (const { file, imports } of modules) {
    if (isTest(file)) continue;
    for (const target of imports) {
      const fault = target.startsWith("src/") ? layerFault(file, target) : null;
      if (fault !== null) faults.push(`${file} imports ${target}: ${fault}`);
    }
  }
  return faults;
}

function layerFault(file: string, target: string): string | null {
  const from = folderOf(file);
  const to = folderOf(target);
  if (from === to) return engineFault(file, target);
  const allowed = file === WIRING ? [...(ALLOWED["node"] ?? []), ...ADAPTERS] : (ALLOWED[from] ?? []);
  if (!allowed.includes(to)) return `${from} lies below or beside ${to}`;
  const isPort = NODE_FOR_ADAPTERS.some((name) => target === `src/node/${name}`);
  return ADAPTERS.includes(from) && to === "node" && !isPort ? "adapters know the node's ports only" : null;
}

/** Packages in pure code. One that brings its types along (`bun` does) would make clocks and sockets known names there. */
export function packageFaults(modules: readonly Module[]): readonly string[] {
  return modules
    .filter(({ file, packages }) => PURE.includes(folderOf(file)) && !isTest(file) && packages.length > 0)
    .map(
      ({ file, packages }) => `${file} imports ${packages.join(", ")}: pure code uses this project's lower layers only`,
    );
}

/** Built-in modules and packages where only the web's own names exist. */
export function browserFaults(modules: readonly Module[]): readonly string[] {
  return modules
    .filter(({ file, packages }) => folderOf(file) === "client" && !isTest(file) && packages.length > 0)
    .map(({ file, packages }) => `${file} imports ${packages.join(", ")}: the client runs in browsers`);
}

/** Engines never know each other. */
function engineFault(file: string, target: string): string | null {
  const engine = (path: string): string | null => /^src\/consensus\/([^/]+)\//.exec(path)?.[1] ?? null;
  const [from, to] = [engine(file), engine(target)];
  return from !== to && to !== null ? "an engine's inside is its own" : null;
}

/** Cycles of imports, each once, as the files along it. */
export function cycles(modules: readonly Module[]): readonly string[] {
  const byFile = new Map(modules.map((module) => [module.file, module]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file].join(" > "));
    if (at >= 0 || done.has(file)) return;
    for (const target of byFile.get(file)?.imports ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const { file } of modules) visit(file, []);
  return found;
}

const EVERYWHERE: readonly (readonly [pattern: RegExp, why: string])[] = [
  [/\bTODO\b(?!\(#\d+\))/, "a TODO names its issue: TODO(#12)"],
  [/\.sort\(\)/, "sort() without a comparator orders by text"],
  [/\bfor\s*\(\s*(?:const|let|var)\s+\w+\s+in\b/, "for...in walks prototypes: use Object.keys or Object.entries"],
  [/\bMath\.random\b/, "randomness comes in by a port"],
];

const IN_PURE: readonly (readonly [pattern: RegExp, why: string])[] = [
  [/\basync\b|\bawait\b|\bPromise\b/, "pure code is synchronous"],
  [/\bDate\b|\bperformance\b/, "pure code has no clock"],
];

export function wordFaults(modules: readonly Module[]): readonly string[] {
  return modules
    .filter(({ file }) => !isTest(file))
    .flatMap(({ file, text }) => {
      const rules = PURE.includes(folderOf(file)) ? [...EVERYWHERE, ...IN_PURE] : EVERYWHERE;
      return rules.filter(([pattern]) => pattern.test(text)).map(([, why]) => `${file}: ${why}`);
    });
}
