import { readFileSync } from "node:fs";
import { nodeIdOf, type PublicKeys } from "../crypto/identity.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";

/** The public half of a node's key as a file: what a validator's entry in a genesis file has, name and address if known. */
export interface ValidatorFile {
  readonly nodeId: string;
  /** In base64. */
  readonly mlDsa87: string;
  readonly ed25519: string | null;
  readonly name: string | null;
  readonly address: string | null;
}

/** A file has about 4 kB; whatever is much larger is another file. */
const TEXT_MAX = 100_000;

/** The text of a file that others admit this node with. */
export function formatValidatorFile(
  { nodeId, publicKeys }: { readonly nodeId: string; readonly publicKeys: PublicKeys },
  name: string | null = null,
): string {
  const document = {
    ...(name === null ? {} : { name }),
    node_id: nodeId,
    ml_dsa_87: publicKeys.mlDsa.toBase64(),
    ed25519: publicKeys.ed25519?.toBase64() ?? null,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** @throws CommandFailed with what is wrong in the file, and where to get a right one */
export function readValidatorFile(file: string): ValidatorFile {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new CommandFailed(`--key ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseValidatorFile(text.slice(0, TEXT_MAX), file);
}

export function parseValidatorFile(text: string, file: string): ValidatorFile {
  const refused = (why: string): CommandFailed =>
    new CommandFailed(
      `--key ${file} is no public key of a node: ${why}; its operator makes one with cretoai-node validators key`,
      EXIT.usage,
    );
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw refused("it is not JSON");
  }
  if (typeof document !== "object" || document === null) throw refused("it is not an object");
  const field = (name: string): unknown => Reflect.get(document, name) ?? null;
  if (field("validators") !== null) throw refused("it is a whole genesis file: take one entry of its validators");
  if (field("publicKeys") !== null)
    throw refused("it is a whole key file, whose secret half belongs to one node alone");
  const [mlDsa87, ed25519] = [field("ml_dsa_87"), field("ed25519")];
  if (typeof mlDsa87 !== "string") throw refused("ml_dsa_87 is missing");
  if (ed25519 !== null && typeof ed25519 !== "string") throw refused("ed25519 is neither a text nor null");
  const nodeId = nodeIdOf({ mlDsa: bytesOf(mlDsa87), ed25519: ed25519 === null ? null : bytesOf(ed25519) });
  const claimed = field("node_id");
  if (claimed !== null && claimed !== nodeId)
    throw refused(`its node_id is not that of its keys, which make ${nodeId}`);
  return { nodeId, mlDsa87, ed25519, name: textOrNull(field("name")), address: textOrNull(field("address")) };

  function bytesOf(base64: string): Uint8Array {
    try {
      return Uint8Array.fromBase64(base64, { lastChunkHandling: "strict" });
    } catch {
      throw refused("a key is not base64");
    }
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
