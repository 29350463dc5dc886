import { stat } from "node:fs/promises";
import type { WorkflowStep } from "../client/main.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

/** No definition that the network takes is larger, also with its inputs in base64. */
const FILE_BYTES_MAX: number = 1024 * 1024;

const MEMBERS = ["name", "handler", "dependsOn", "input", "inputBase64", "attempts", "backoffMs"];

/** The steps of a definition in JSON: a list of them, or `{"steps": [...]}`. @throws CommandFailed with the place */
export async function readSteps(file: string | undefined): Promise<readonly WorkflowStep[]> {
  const text = await textOf(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(`it is no JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  const steps: unknown = Array.isArray(value) ? value : isObject(value) ? value["steps"] : null;
  if (!Array.isArray(steps)) throw bad('it is a list of steps, or {"steps": [...]}');
  return steps.map(stepOf);
}

function stepOf(value: unknown, index: number): WorkflowStep {
  const at = `steps[${index}]`;
  if (!isObject(value)) throw bad(`${at} is no object`);
  const unknown = Object.keys(value).find((member) => !MEMBERS.includes(member));
  if (unknown !== undefined) throw bad(`${at} has ${JSON.stringify(unknown)}; a step has ${MEMBERS.join(", ")}`);
  const { name, handler, dependsOn, attempts, backoffMs } = value;
  if (typeof name !== "string") throw bad(`${at}.name is no text`);
  if (handler !== undefined && typeof handler !== "string") throw bad(`${at}.handler is no text`);
  if (dependsOn !== undefined && !isTexts(dependsOn)) throw bad(`${at}.dependsOn is no list of names`);
  if (attempts !== undefined && typeof attempts !== "number") throw bad(`${at}.attempts is no number`);
  if (backoffMs !== undefined && typeof backoffMs !== "number") throw bad(`${at}.backoffMs is no number`);
  const input = inputOf(value, at);
  return {
    name,
    ...(handler === undefined ? {} : { handler }),
    ...(dependsOn === undefined ? {} : { dependsOn }),
    ...(input === undefined ? {} : { input }),
    ...(attempts === undefined ? {} : { attempts }),
    ...(backoffMs === undefined ? {} : { backoffMs }),
  };
}

function inputOf(value: Readonly<Record<string, unknown>>, at: string): string | Uint8Array | undefined {
  const { input, inputBase64 } = value;
  if (input !== undefined && inputBase64 !== undefined) throw bad(`${at} has an input and an inputBase64`);
  if (input !== undefined && typeof input !== "string") throw bad(`${at}.input is no text`);
  if (inputBase64 === undefined) return input;
  try {
    if (typeof inputBase64 === "string") return Uint8Array.fromBase64(inputBase64);
  } catch {
    // Said below.
  }
  throw bad(`${at}.inputBase64 is no base64`);
}

async function textOf(file: string | undefined): Promise<string> {
  if (file === undefined) {
    if (process.stdin.isTTY) console.error("Reading the steps from the keyboard, as JSON; end with Ctrl-D.");
    return await Bun.stdin.text();
  }
  const info = await stat(file).catch((error: unknown) => {
    throw new CommandFailed(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  });
  if (info.isDirectory()) throw new CommandFailed(`${file} is a folder`);
  if (info.size > FILE_BYTES_MAX) throw new CommandFailed(`${file} has ${info.size} bytes: too many for a definition`);
  return await Bun.file(file).text();
}

function bad(what: string): CommandFailed {
  return new CommandFailed(`the definition: ${what}`, EXIT.usage);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
