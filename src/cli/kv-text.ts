/** Values of a line are cut here, in characters. */
const SHOWN_CHARS = 120;

/** A value on one line of a terminal: text where it is some, without what could steer the terminal, else its size. */
export function valueText(value: Uint8Array): string {
  try {
    const text = lineText(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value));
    const shown = Array.from(text.slice(0, 2 * SHOWN_CHARS))
      .slice(0, SHOWN_CHARS)
      .join("");
    return shown.length === text.length ? text : `${shown}... (${value.length} bytes)`;
  } catch {
    return `(${value.length} bytes)`;
  }
}

/** Without tabs, ends of lines, and codes that a terminal obeys; each is shown as in JSON. */
export function lineText(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const escaped = JSON.stringify(character).slice(1, -1);
    return escaped === character ? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}` : escaped;
  });
}
