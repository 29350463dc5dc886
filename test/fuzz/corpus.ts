import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The seeds and the inputs of faults that were found, one folder for each target. */
const FOLDER: string = join(import.meta.dir, "corpus");

export interface CorpusEntry {
  readonly file: string;
  readonly bytes: Uint8Array;
}

export function corpusOf(target: string): readonly CorpusEntry[] {
  const folder = join(FOLDER, target);
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith(".bin"));
  return names
    .sort((left, right) => (left < right ? -1 : 1))
    .map((name) => ({ file: join(folder, name), bytes: Uint8Array.from(readFileSync(join(folder, name))) }));
}

/** Keeps an input in the repository's corpus; answers the file. */
export function keep(target: string, name: string, bytes: Uint8Array): string {
  const folder = join(FOLDER, target);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.bin`);
  writeFileSync(file, bytes);
  return file;
}

export function shortHash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 12);
}
