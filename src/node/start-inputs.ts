import { readFileSync } from "node:fs";
import { readKeyFile } from "../crypto/key-file.ts";
import type { NodeKeyPair } from "../crypto/key-pair.ts";
import type { NodeConfig } from "./config.ts";
import { choiceFault } from "./engine-choice.ts";
import { type Genesis, parseGenesis } from "./genesis.ts";
import { keyFileAt } from "./key-location.ts";

/** Opaque to the user: a start that cannot succeed as configured, with what to change. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** What the configuration names, read and found to fit it. */
export interface StartInputs {
  readonly genesis: Genesis;
  readonly keys: NodeKeyPair;
}

/** @throws StartError, GenesisError, and what reading a key file throws */
export async function readInputs(config: NodeConfig): Promise<StartInputs> {
  const genesis = readGenesis(config);
  checkAgainstGenesis(config, genesis);
  return { genesis, keys: await readKeys(config) };
}

function readGenesis(config: NodeConfig): Genesis {
  const file = config.node.genesis;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new StartError(
      `the genesis file ${file} cannot be read (${String(error)}): set node.genesis in ${config.file}`,
    );
  }
  return parseGenesis(text);
}

async function readKeys(config: NodeConfig): Promise<NodeKeyPair> {
  const file = keyFileAt(config.crypto.key_path);
  const passphrase = process.env[config.crypto.passphrase_env];
  return await readKeyFile(file, passphrase === undefined ? {} : { passphrase });
}

function checkAgainstGenesis(config: NodeConfig, genesis: Genesis): void {
  if (config.crypto.hybrid_mode !== genesis.hybrid) {
    throw new StartError(
      `crypto.hybrid_mode is ${config.crypto.hybrid_mode}, the network's genesis file says ${genesis.hybrid}`,
    );
  }
  const fault = choiceFault(config, genesis);
  if (fault !== null) throw new StartError(fault);
}
