import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Application } from "../replication/replicated.ts";

/** What a user's file must export: a function that makes the application as it is before anything happened to it. */
export const FACTORY = "createApplication";

const METHODS = ["apply", "query", "snapshot", "restore", "stateHash"] as const;

/** A file that is no application: which, what is wrong with it, and what it must be. */
export class ApplicationFileError extends Error {
  override readonly name = "ApplicationFileError";
}

/**
 * Loads a user's application. The file runs in the node's own process: it is trusted as the node itself.
 * @throws ApplicationFileError
 */
export async function loadApplication(file: string): Promise<() => Application> {
  const path = resolve(file);
  let exported: unknown;
  try {
    exported = await import(pathToFileURL(path).href);
  } catch (cause) {
    throw new ApplicationFileError(`the application ${path} cannot be loaded: ${whyNot(path, cause)}`, { cause });
  }
  const factory: unknown = Reflect.get(exported as object, FACTORY);
  if (typeof factory !== "function") {
    const what = `exports no function ${FACTORY}`;
    throw new ApplicationFileError(`the application ${path} ${what}: export function ${FACTORY}(): Application`);
  }
  const make = (): Application => checked(path, Reflect.apply(factory, undefined, []));
  make();
  return make;
}

function whyNot(path: string, cause: unknown): string {
  if (!existsSync(path)) return "there is no such file";
  if (!(cause instanceof Error)) return String(cause);
  const position: unknown = Reflect.get(cause, "position");
  if (typeof position === "object" && position !== null)
    return `${cause.message}, in line ${Reflect.get(position, "line")} of ${Reflect.get(position, "file")}`;
  if (cause.message.includes("Cannot find package 'cretoai'"))
    return `${cause.message}: install the package there (npm install), or keep the file in a clone of cretoai`;
  return String(cause);
}

function checked(path: string, made: unknown): Application {
  const fault = faultOf(made);
  if (fault !== null) throw new ApplicationFileError(`the application ${path}: what ${FACTORY} gives ${fault}`);
  return made as Application;
}

function faultOf(made: unknown): string | null {
  if (typeof made !== "object" || made === null) return "is no object";
  const name: unknown = Reflect.get(made, "name");
  if (typeof name !== "string" || name.length === 0 || Buffer.byteLength(name) > 64)
    return "has no name of 1 to 64 bytes";
  const missing = METHODS.filter((method) => typeof Reflect.get(made, method) !== "function");
  return missing.length === 0 ? null : `has no ${missing.join(", ")}: see the type Application`;
}
