import { CommandFailed } from "./exit-codes.ts";

const LF = 0x0a;
const CR = 0x0d;

/**
 * The lines of a stream without their ends, in groups as the stream brings them; empty lines are left out. Bytes stay as
 * they are, so that what is no UTF-8 is submitted unchanged.
 * @throws CommandFailed for a line of more than `bytesMax`: an endless one must not fill the memory
 */
export async function* linesOfStream(
  stream: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<readonly Uint8Array[]> {
  let rest: Uint8Array = new Uint8Array(0);
  let number = 0;
  const refuse = (line: Uint8Array): void => {
    if (line.length > bytesMax)
      throw new CommandFailed(`line ${number + 1} has more than ${bytesMax} bytes: a transaction cannot be that large`);
  };
  for await (const chunk of stream) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const lines: Uint8Array[] = [];
    let at = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, at)) {
      const line = trimmed(bytes.subarray(at, end));
      refuse(line);
      if (line.length > 0) lines.push(line);
      number += 1;
      at = end + 1;
    }
    rest = new Uint8Array(bytes.subarray(at));
    refuse(rest);
    if (lines.length > 0) yield lines;
  }
  const last = trimmed(rest);
  if (last.length > 0) yield [last];
}

function trimmed(line: Uint8Array): Uint8Array {
  return line.at(-1) === CR ? line.subarray(0, -1) : line;
}
