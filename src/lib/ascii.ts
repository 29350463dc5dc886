import { assert } from "./assert.ts";

/** The bytes of a text of printable ASCII characters, such as a domain tag. */
export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    assert(code < 0x80, `an ASCII character, not ${character}`);
    return code;
  });
}
