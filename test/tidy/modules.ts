import { Glob } from "bun";
import { dirname, join, normalize } from "node:path";

/** One source file and what it imports from this project, both relative to the root. */
export interface Module {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
  /** Packages and built-in modules. */
  readonly packages: readonly string[];
}

const ROOT = join(import.meta.dirname, "../..");

/** `import ... from "x"`, `export ... from "x"`, `import "x"` and `import("x")`, over several lines too. */
const IMPORT = /(?:(?<!-)\bfrom\s*|\bimport\s*\(?\s*)"([^"\n]+)"/g;

export function parseModule(file: string, text: string): Module {
  const code = withoutComments(text);
  const targets = [...code.matchAll(IMPORT)].map((match) => match[1] ?? "");
  const local = targets.filter((target) => target.startsWith("."));
  return {
    file,
    text: code,
    imports: local.map((target) => normalize(join(dirname(file), target))),
    packages: targets.filter((target) => !target.startsWith(".")),
  };
}

export async function readModules(pattern: string): Promise<readonly Module[]> {
  const files = [...new Glob(pattern).scanSync({ cwd: ROOT })].filter((file) => !file.endsWith(".d.ts")).sort(compare);
  return await Promise.all(files.map(async (file) => parseModule(file, await Bun.file(join(ROOT, file)).text())));
}

export async function readText(file: string): Promise<string> {
  return await Bun.file(join(ROOT, file)).text();
}

export function filesOf(pattern: string): readonly string[] {
  return [...new Glob(pattern).scanSync({ cwd: ROOT })].filter((file) => !file.includes("node_modules")).sort(compare);
}

/** Comments out, strings kept; good enough for a code base without `//` in strings other than addresses. */
export function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|[^:"'`])\/\/[^\n]*/g, "$1");
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
