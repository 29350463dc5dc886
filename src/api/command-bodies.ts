import { type Command, COMMAND_BODY_BYTES_MAX, isClientId } from "../replication/command.ts";
import { base64Bytes, mediaType, readBody, readObject } from "./bodies.ts";
import { BATCH_PAYLOADS_MAX } from "./limits.ts";
import type { CommandName } from "./own-clients.ts";
import { ApiProblem } from "./problem.ts";

const MEMBERS = ["client", "number", "command"] as const;

/** `{"client": ..., "number": ..., "command": "<base64>"}`, or the command itself with its name in headers. */
export async function readCommand(request: Request): Promise<Command> {
  if (mediaType(request) === "application/octet-stream") {
    const name = nameOfHeaders(request.headers);
    const body = await readBody(request);
    if (name === null) throw new ApiProblem("malformed", NAMELESS);
    return { ...name, body: fitting(body, "the command") };
  }
  return commandOf(await readObject(request, MEMBERS), "");
}

/** `{"commands": [{"client": ..., "number": ..., "command": ...}, ...]}` */
export async function readCommands(request: Request): Promise<readonly Command[]> {
  const { commands } = await readObject(request, ["commands"]);
  if (!Array.isArray(commands)) throw new ApiProblem("malformed", `commands must be a list of {${MEMBERS.join(", ")}}`);
  if (commands.length > BATCH_PAYLOADS_MAX) {
    const what = `${commands.length} commands, at most ${BATCH_PAYLOADS_MAX} in one batch: send several`;
    throw new ApiProblem("batch-too-large", what);
  }
  return commands.map((value: unknown, index) => {
    if (typeof value === "object" && value !== null) {
      return commandOf(value as Readonly<Record<string, unknown>>, `commands[${index}].`);
    }
    throw new ApiProblem("malformed", `commands[${index}] must be an object with ${MEMBERS.join(", ")}`);
  });
}

const HEADERS = ["x-cretoai-client", "x-cretoai-number"] as const;

const NAMELESS = `a command has the headers ${HEADERS[0]}, 32 hexadecimal digits chosen at random once, and ${HEADERS[1]}: 1, 2, 3, ...`;

/** Null where the caller names no client. */
export function nameOfHeaders(headers: Headers): CommandName | null {
  const [client, number] = HEADERS.map((name) => headers.get(name));
  if (client === null && number === null) return null;
  if (typeof client !== "string" || typeof number !== "string") {
    throw new ApiProblem("malformed", `${HEADERS.join(" and ")} come together`);
  }
  return nameOf(client, /^[1-9]\d{0,15}$/.test(number) ? Number(number) : null, "x-cretoai-");
}

/** @param where what comes before "client" and "number" when one of them is spoken of */
export function nameOf(client: unknown, number: unknown, where: string): CommandName {
  if (typeof client !== "string" || !isClientId(client)) {
    throw new ApiProblem("malformed", `${where}client must be 32 lower-case hexadecimal digits, chosen at random`);
  }
  if (typeof number === "number" && Number.isSafeInteger(number) && number >= 1) return { client, number };
  throw new ApiProblem("malformed", `${where}number must be a whole number from 1 to 2^53 - 1`);
}

function commandOf(value: Readonly<Record<string, unknown>>, where: string): Command {
  const name = nameOf(value["client"], value["number"], where);
  return { ...name, body: fitting(base64Bytes(value["command"], `${where}command`), `${where}command`) };
}

function fitting(body: Uint8Array, what: string): Uint8Array {
  if (body.length <= COMMAND_BODY_BYTES_MAX) return body;
  throw new ApiProblem(
    "payload-too-large",
    `${what} has ${body.length} bytes, at most ${COMMAND_BODY_BYTES_MAX} are allowed`,
  );
}
