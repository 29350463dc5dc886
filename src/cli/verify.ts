import { readFileSync, writeFileSync } from "node:fs";
import { LightError } from "../light/light-error.ts";
import { LightSession } from "../light/light-session.ts";
import type { FinalityVerdict } from "../light/verdict.ts";
import { isHash } from "../lib/hash.ts";
import { firstMembership, type Genesis, GenesisError, networkContextOf, parseGenesis } from "../node/genesis.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { call, get, type TargetOptions, targetUrl } from "./node-client.ts";
import { lineText, valueText } from "./kv-text.ts";

interface VerifyOptions extends TargetOptions {
  readonly genesis?: string;
  readonly trusted?: string;
  readonly writeTrusted?: string;
  readonly json?: boolean;
}

/** Whom to believe, with the names that the genesis file gives them. */
interface Known {
  readonly session: LightSession;
  readonly names: ReadonlyMap<string, string>;
}

/**
 * Says whether a vertex is final, believing a quorum of validators and no node. Exit status 1 where it is not proved, for
 * whatever reason.
 */
export async function verify(hash: string | undefined, options: VerifyOptions): Promise<void> {
  if (hash !== undefined && !isHash(hash))
    throw new CommandFailed("<hash> must be 64 lower-case hexadecimal digits", EXIT.usage);
  const { session, names } = openKnown(options);
  const url = targetUrl(options);
  try {
    const verdict = hash === undefined ? await followAll(session, url) : await verdictOn(hash, session, url);
    if (options.writeTrusted !== undefined) writeFileSync(options.writeTrusted, session.encode());
    if (verdict !== null) print(verdict, names, options);
    else if (options.json === true) console.log(JSON.stringify({ genesis: session.genesis, epoch: session.epoch }));
    else console.log(`the validators of epoch ${session.epoch} follow from those that were trusted`);
  } catch (error) {
    if (!(error instanceof LightError)) throw error;
    throw new CommandFailed(`NOT proved (${error.code}): ${error.message}${await otherNetwork(session, url)}`);
  }
}

/** The likeliest reason is the file of another network. What the node says of itself decides nothing here. */
async function otherNetwork(session: LightSession, url: string): Promise<string> {
  const body = await call(url, "/v1/status").then(
    (answer) => answer.body,
    () => null,
  );
  const genesis: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "genesis") : undefined;
  if (typeof genesis !== "string" || genesis === session.genesis) return "";
  return `\nThe node says that its network has genesis ${lineText(genesis)}, the trusted one is ${session.genesis}: is it the right file?`;
}

async function verdictOn(hash: string, session: LightSession, url: string): Promise<FinalityVerdict> {
  const { proof } = (await get(url, `/v1/vertices/${hash}/proof`)) as { readonly proof: unknown };
  const bytes = bytesOf(proof);
  while (session.isBehind(bytes)) {
    if (!(await followPage(session, url)))
      throw new LightError("wrong-epoch", `the node does not show how epoch ${session.epoch} ended`);
  }
  return session.verify(hash, bytes);
}

async function followAll(session: LightSession, url: string): Promise<null> {
  while (await followPage(session, url));
  return null;
}

/** Whether there was a further epoch. */
async function followPage(session: LightSession, url: string): Promise<boolean> {
  const { links } = (await get(url, `/v1/epochs?from=${session.epoch}`)) as { readonly links: unknown };
  if (!Array.isArray(links)) throw new LightError("malformed", "the node answers with no list of links");
  session.follow(links.map(bytesOf));
  return links.length > 0;
}

function openKnown({ genesis, trusted }: VerifyOptions): Known {
  if ((genesis === undefined) === (trusted === undefined))
    throw new CommandFailed("give --genesis or --trusted: whom to believe cannot be asked of a node", EXIT.usage);
  if (trusted !== undefined) {
    try {
      return { session: LightSession.from(read(trusted)), names: new Map() };
    } catch (error) {
      if (error instanceof LightError) throw new CommandFailed(`${trusted}: ${error.message}`, EXIT.usage);
      throw error;
    }
  }
  const parsed = parse(genesis ?? "");
  const session = new LightSession({ genesis: networkContextOf(parsed).genesis, membership: firstMembership(parsed) });
  return { session, names: new Map(parsed.validators.map(({ nodeId, name }) => [nodeId, name])) };
}

function parse(file: string): Genesis {
  const text = new TextDecoder().decode(read(file));
  try {
    return parseGenesis(text);
  } catch (error) {
    if (error instanceof GenesisError) throw new CommandFailed(`${file}: ${error.message}`, EXIT.usage);
    throw error;
  }
}

function read(file: string): Uint8Array {
  try {
    return Uint8Array.from(readFileSync(file));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandFailed(`${file} cannot be read: ${why}`, EXIT.usage);
  }
}

function bytesOf(value: unknown): Uint8Array {
  try {
    return Uint8Array.fromBase64(String(value));
  } catch (cause) {
    throw new LightError("malformed", "the node answers with something that is not base64", { cause });
  }
}

function print(verdict: FinalityVerdict, names: Known["names"], { json }: VerifyOptions): void {
  const { hash, creator, nonce, purpose, payload, epoch, quorum, validators } = verdict;
  const signers = verdict.signers.map(({ nodeId, name }) => ({ nodeId, name: names.get(nodeId) ?? name }));
  if (json === true) {
    const vertex = { hash, ...placeOf(verdict), creator, nonce, purpose, payload: payload.toBase64() };
    return console.log(JSON.stringify({ proved: true, ...vertex, epoch, quorum, validators, signers }));
  }
  const nameOf = ({ nodeId, name }: (typeof signers)[number]): string =>
    name === "" ? nodeId : `${name} (${nodeId.slice(0, 16)})`;
  const [place, what] = wordsFor(verdict);
  console.log(`proved\t${hash} is final, for good
place\t${place}
creator\t${nameOf({ nodeId: creator, name: names.get(creator) ?? "" })}, its vertex ${nonce} (${purpose})
payload\t${payload.length} bytes: ${valueText(payload)}
signed\tby ${signers.length} of the ${validators} validators of epoch ${epoch} (${quorum} are needed): ${signers.map(nameOf).join(", ")}
what\t${what}`);
}

function placeOf(verdict: FinalityVerdict): object {
  if (verdict.kind === "accepted") {
    return { sequence: null, conflictKeys: verdict.conflictKeys.map((key) => key.toBase64()) };
  }
  const { position: sequence, batch, certifiedBatch } = verdict;
  return { sequence, batch, certifiedBatch };
}

/** Where it stands, and what was signed. */
function wordsFor(verdict: FinalityVerdict): readonly [string, string] {
  if (verdict.kind === "ordered") {
    const { position, batch, certifiedBatch } = verdict;
    const what = `they executed the log up to batch ${certifiedBatch}, and this vertex has this place in it`;
    return [`${position} in the total order, in batch ${batch}`, what];
  }
  const keys = verdict.conflictKeys.map(valueText);
  const claims = keys.length === 0 ? "claims nothing" : `claims ${keys.join(", ")}, which no other vertex ever gets`;
  return [`accepted in a network without a leader, which orders nothing; ${claims}`, "each of them has accepted it"];
}
