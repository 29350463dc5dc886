import { type Codec, decode, encode } from "../codec/codec.ts";
import { mapped, struct } from "../codec/composites.ts";
import { bytes, fixedBytes, u8, u64 } from "../codec/primitives.ts";
import { DecodeError } from "../codec/reader.ts";
import { PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import type { Branded } from "../lib/brand.ts";

/** A client of the replicated application, as 32 lower-case hexadecimal digits. It chose them at random. */
export type ClientId = Branded<string, "ClientId">;

const CLIENT_BYTES = 16;

/** The version, the client, the number and the body's length. */
const HEAD_BYTES: number = 1 + CLIENT_BYTES + 8 + 8;

/** The largest body of a command, in bytes: a command is a vertex's payload. */
export const COMMAND_BODY_BYTES_MAX: number = PAYLOAD_BYTES_MAX - HEAD_BYTES;

const VERSION = 1;

/** What one client asks of the application, under a number that makes it take effect once however often it comes. */
export interface Command {
  readonly client: ClientId;
  /** Counts the client's commands from 1. */
  readonly number: number;
  /** What the application reads. */
  readonly body: Uint8Array;
}

export function isClientId(text: string): text is ClientId {
  return /^[0-9a-f]{32}$/.test(text);
}

export const clientIdCodec: Codec<ClientId> = mapped(
  fixedBytes(CLIENT_BYTES),
  (raw) => raw.toHex() as ClientId,
  (client) => Uint8Array.fromHex(client),
);

const fieldsCodec = struct<Command>({ client: clientIdCodec, number: u64, body: bytes(COMMAND_BODY_BYTES_MAX) });

/** The payload of a vertex in a network that runs a replicated application. */
export const commandCodec: Codec<Command> = {
  sizeMin: HEAD_BYTES,
  encode: (writer, command) => {
    u8.encode(writer, VERSION);
    fieldsCodec.encode(writer, command);
  },
  decode: (reader) => {
    const version = reader.u8();
    if (version !== VERSION) reader.fail("unknown-variant", `a command of version ${version}, not ${VERSION}`);
    const command = fieldsCodec.decode(reader);
    return command.number >= 1 ? command : reader.fail("not-canonical", "a command's number of 0");
  },
};

export function encodeCommand(command: Command): Uint8Array {
  return encode(commandCodec, command, HEAD_BYTES + command.body.length);
}

/** Null where the payload is no command: it takes its place in the order and has no effect. The body is a view. */
export function decodeCommand(payload: Uint8Array): Command | null {
  try {
    return decode(commandCodec, payload);
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}
