import type { Codec } from "../../codec/codec.ts";
import { string } from "../../codec/primitives.ts";

/** The longest name of a run, a step, a handler or a worker. */
export const NAME_CHARS_MAX = 64;

export const NAME_RULE = "1 to 64 letters, digits, dots, colons, hyphens and underscores";

/** So that names stand in an address, in a terminal and in an idempotency token as they are, with slashes between them. */
export function isName(text: string): boolean {
  return /^[A-Za-z0-9._:-]{1,64}$/.test(text);
}

const text = string(NAME_CHARS_MAX);

export const nameCodec: Codec<string> = {
  sizeMin: text.sizeMin + 1,
  encode: (writer, name) => text.encode(writer, name),
  decode: (reader) => {
    const name = text.decode(reader);
    return isName(name) ? name : reader.fail("not-canonical", `a name is ${NAME_RULE}`);
  },
};
