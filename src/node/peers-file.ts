import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import type { NodeId } from "../crypto/identity.ts";
import { isHash } from "../lib/hash.ts";
import type { Ban } from "../peering/ban.ts";
import type { Log } from "./observer.ts";

/** Entries of the file; more strangers than this are not remembered over a restart. */
export const BANS_MAX = 1_024;

export const BAN_REASON_CHARS_MAX = 200;

export type PeersFileErrorCode = "unreadable" | "malformed";

/** The list of bans cannot be read; the message names the file and what was wrong. */
export class PeersFileError extends Error {
  override readonly name = "PeersFileError";
  readonly code: PeersFileErrorCode;

  constructor(code: PeersFileErrorCode, message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

const time = z.number().int().nonnegative();

const schema = z.strictObject({
  version: z.literal(1),
  bans: z
    .array(
      z.strictObject({
        nodeId: z.string().refine(isHash),
        sinceMs: time,
        untilMs: time.nullable(),
        reason: z.string().max(BAN_REASON_CHARS_MAX),
        by: z.enum(["operator", "automatic"]),
        strikes: z.number().int().min(0).max(1_000_000),
      }),
    )
    .max(BANS_MAX),
});

/**
 * Reads the bans; none where there is no file yet.
 * @throws PeersFileError
 */
export async function readPeersFile(file: string): Promise<ReadonlyMap<NodeId, Ban>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, "code") === "ENOENT") return new Map();
    throw new PeersFileError("unreadable", `${file} cannot be read: ${String(error)}`, error);
  }
  try {
    const { bans } = schema.parse(JSON.parse(text));
    return new Map(bans.map(({ nodeId, ...ban }) => [nodeId as string as NodeId, ban]));
  } catch (error) {
    const [issue] = error instanceof z.ZodError ? error.issues : [];
    const where = issue === undefined ? String(error) : `${issue.path.join(".")}: ${issue.message}`;
    throw new PeersFileError("malformed", `${file} is no list of bans (${where})`, error);
  }
}

/** As `readPeersFile`, but a node never refuses to start for a list of bans: damage is told, and moved aside. */
export async function restoreBans(file: string, log: Log): Promise<ReadonlyMap<NodeId, Ban>> {
  try {
    return await readPeersFile(file);
  } catch (error) {
    if (!(error instanceof PeersFileError)) throw error;
    const aside = error.code === "malformed" ? `${file}.damaged` : null;
    if (aside !== null) await rename(file, aside);
    log("warn", "peers.file-damaged", { error: error.message, movedTo: aside, consequence: "no peer is banned" });
    return new Map();
  }
}

/** Replaces the file as a whole: after a crash there is the old list or the new one. */
export async function writePeersFile(file: string, bans: ReadonlyMap<NodeId, Ban>): Promise<void> {
  const list = [...bans].map(([nodeId, ban]) => ({ nodeId, ...ban }));
  const folder = dirname(file);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, "w", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify({ version: 1, bans: list }, null, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  // The name is durable only with the folder.
  const folderHandle = await open(folder, "r");
  try {
    await folderHandle.sync();
  } finally {
    await folderHandle.close();
  }
}
