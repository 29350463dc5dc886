import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateKeyPair } from "../crypto/key-pair.ts";
import { writeKeyFile } from "../crypto/key-file.ts";
import { KEY_FILE_NAME } from "../node/key-location.ts";
import { CommandFailed } from "./exit-codes.ts";
import { formatValidatorFile } from "./validator-file.ts";

export interface KeygenOptions {
  readonly output: string;
  readonly publicOut?: string;
  readonly passphraseEnv?: string;
  readonly hybrid: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Makes a node's key file. */
export async function keygen(options: KeygenOptions): Promise<void> {
  const passphrase = passphraseOf(options.passphraseEnv);
  const pair = generateKeyPair({ hybrid: options.hybrid });
  const file = join(options.output, KEY_FILE_NAME);
  await writeKeyFile(file, pair, {
    ...(passphrase === null ? {} : { passphrase }),
    overwrite: options.force === true,
  });
  const { nodeId, publicKeys } = pair;
  if (options.publicOut !== undefined) await writeFile(options.publicOut, formatValidatorFile(pair));
  if (options.json === true) {
    const document = {
      nodeId,
      file,
      mlDsa87: publicKeys.mlDsa.toBase64(),
      ed25519: publicKeys.ed25519?.toBase64() ?? null,
      encrypted: passphrase !== null,
    };
    console.log(JSON.stringify(document));
    return;
  }
  console.log(`node id   ${nodeId}`);
  console.log(`key file  ${file} (mode 0600, ${passphrase === null ? "without a passphrase" : "encrypted"})`);
  if (options.publicOut !== undefined) console.log(`public    ${options.publicOut} (for validators admit)`);
  console.log("Keep it secret and keep a copy: who has it votes in this node's name.");
}

function passphraseOf(variable: string | undefined): string | null {
  if (variable === undefined) return null;
  const value = process.env[variable];
  if (value === undefined || value === "") {
    throw new CommandFailed(`the environment variable ${variable} is empty: put the passphrase into it`);
  }
  return value;
}
