/**
 * The lines of a TOML text on which sections and keys stand, by `section` and `section.key`. The parser tells no places of
 * values, and a message without one makes people search. Best effort: what is written in an unusual way (inline tables,
 * quoted or escaped keys) has no line, and that is all that goes wrong.
 */
export function linesOfKeys(toml: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  let section = "";
  let until: string | null = null;
  for (const [index, line] of toml.split("\n").entries()) {
    if (until !== null) {
      // Inside a text of several lines nothing is a key.
      if (line.includes(until)) until = null;
      continue;
    }
    const header = /^\s*\[\s*([\w-]+)\s*\]/.exec(line)?.[1];
    if (header !== undefined) section = header;
    const key = /^\s*([\w-]+(?:\s*\.\s*[\w-]+)*)\s*=/.exec(line)?.[1]?.replaceAll(/\s/g, "");
    const path = header ?? (key === undefined ? undefined : section === "" ? key : `${section}.${key}`);
    if (path !== undefined && !lines.has(path)) lines.set(path, index + 1);
    until = opened(line);
  }
  return lines;
}

/** The delimiter of a text that begins on this line and ends on a later one. */
function opened(line: string): string | null {
  for (const delimiter of ['"""', "'''"]) if (line.split(delimiter).length % 2 === 0) return delimiter;
  return null;
}
