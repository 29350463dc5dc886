import { existsSync, statSync } from "node:fs";
import { join } from "node:path";

/** Name of the key file inside a `key_path` that is a folder. */
export const KEY_FILE_NAME = "node.key.json";

/** The key file that `crypto.key_path` means. */
export function keyFileAt(path: string): string {
  return existsSync(path) && statSync(path).isDirectory() ? join(path, KEY_FILE_NAME) : path;
}
