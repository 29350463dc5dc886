import { loadConfig } from "../node/config.ts";
import { readKeyFile } from "../crypto/key-file.ts";
import { keyFileAt } from "../node/key-location.ts";
import { CommandFailed, EXIT } from "./exit-codes.ts";
import { call, detailOf, get, type TargetOptions, targetUrl } from "./node-client.ts";
import { printTable } from "./table.ts";
import { formatValidatorFile, readValidatorFile } from "./validator-file.ts";

interface ValidatorsOptions extends TargetOptions {
  readonly json?: boolean;
}

interface AdmitOptions extends ValidatorsOptions {
  readonly key: string;
  readonly address?: string;
  readonly name?: string;
}

interface RemovalOptions extends ValidatorsOptions {
  readonly waitForSuccessor?: boolean;
}

/** The node itself waits half a minute for a word's order. */
const ORDERED_MS_MAX = 40_000;

/** What people compare of an id. */
const ID_DIGITS = 16;
const NAMES_SHOWN_MAX = 10;

interface Member {
  readonly index: number;
  readonly nodeId: string;
  readonly name: string;
  readonly address: string;
  readonly standing: string;
  readonly condemned: string | null;
  readonly reputationPpm: number;
  readonly waiting: number | null;
  readonly isSelf: boolean;
}

interface Pending {
  readonly kind: string;
  readonly nodeId: string;
  readonly name: string;
  readonly address: string;
  readonly approvals: readonly string[];
  readonly needed: number;
}

interface Membership {
  readonly epoch: number;
  readonly policy: { readonly min: number; readonly max: number };
  readonly active: number;
  readonly faultTolerance: number;
  readonly quorum: number;
  readonly members: readonly Member[];
  readonly pending: readonly Pending[];
}

interface Outcome {
  readonly result: string;
  readonly reason: string;
  readonly batch: number;
  readonly epoch: number;
}

/** Prints who is a validator, who was, who waits, and what waits for approvals. */
export async function listValidators(options: ValidatorsOptions): Promise<void> {
  const url = targetUrl(options);
  const membership = (await get(url, "/v1/membership")) as Membership;
  if (options.json === true) return console.log(JSON.stringify(membership));
  const { items } = (await get(url, "/v1/validators")) as {
    readonly items: readonly { readonly nodeId: string; readonly isLeader: boolean; readonly connected: boolean }[];
  };
  const { epoch, active, quorum, faultTolerance, policy } = membership;
  console.log(
    `epoch ${epoch}: ${active} validators (${policy.min} to ${policy.max}), quorum ${quorum}, up to ${faultTolerance} may lie`,
  );
  const now = new Map(items.map((item) => [item.nodeId, item]));
  printTable(membership.members, [
    ["node id", ({ nodeId }) => nodeId.slice(0, ID_DIGITS)],
    ["name", ({ name }) => name],
    ["standing", standingText],
    ["reputation", ({ standing, reputationPpm }) => (standing === "active" ? (reputationPpm / 1e6).toFixed(3) : "-")],
    ["address", ({ address }) => address],
    ["", ({ nodeId }) => (now.get(nodeId)?.isLeader === true ? "leads" : "")],
    ["", ({ nodeId, isSelf }) => (isSelf ? "this node" : connection(now.get(nodeId)?.connected))],
  ]);
  for (const pending of membership.pending) console.log(pendingText(pending, membership));
}

/** Approves, in the name of the node that is asked, that a node becomes a validator. */
export async function admitValidator(options: AdmitOptions): Promise<void> {
  const { nodeId, mlDsa87, ed25519, ...known } = readValidatorFile(options.key);
  const name = options.name ?? known.name;
  const address = options.address ?? known.address;
  if (name === null) throw new CommandFailed("--name is missing: what the others call the new validator", EXIT.usage);
  if (address === null) throw new CommandFailed("--address is missing: host:port of its QUIC socket", EXIT.usage);
  const url = targetUrl(options);
  const outcome = await order(url, "admit", { nodeId, name, address, mlDsa87, ed25519 });
  await report(url, outcome, { nodeId, label: name }, options);
}

/** Approves, in the name of the node that is asked, that a validator loses its place. */
export async function dismissValidator(who: string, options: RemovalOptions): Promise<void> {
  const url = targetUrl(options);
  const { nodeId, name } = resolveMember((await get(url, "/v1/membership")) as Membership, who);
  const outcome = await order(url, "dismiss", { nodeId, waitForSuccessor: options.waitForSuccessor === true });
  await report(url, outcome, { nodeId, label: name }, options);
}

/** Gives the place of the node that is asked up. */
export async function leaveValidators(options: RemovalOptions): Promise<void> {
  const url = targetUrl(options);
  const { members } = (await get(url, "/v1/membership")) as Membership;
  const self = members.find(({ isSelf }) => isSelf);
  const outcome = await order(url, "leave", { waitForSuccessor: options.waitForSuccessor === true });
  await report(url, outcome, { nodeId: self?.nodeId ?? "", label: self?.name ?? "this node" }, options);
}

/** Prints the public half of a node's key: what the operators of the validators admit it with. */
export async function printValidatorKey({ config: file }: ValidatorsOptions): Promise<void> {
  if (file === undefined) throw new CommandFailed("--config is missing: the node whose key it is", EXIT.usage);
  const { crypto, node } = loadConfig(file, process.env);
  const passphrase = process.env[crypto.passphrase_env];
  const pair = await readKeyFile(keyFileAt(crypto.key_path), passphrase === undefined ? {} : { passphrase });
  process.stdout.write(formatValidatorFile(pair, node.id));
}

async function order(url: string, what: string, body: object): Promise<Outcome> {
  const answer = await call(url, `/v1/validators/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    timeoutMs: ORDERED_MS_MAX,
  });
  if (answer.status === 200) return answer.body as Outcome;
  const message = `${url} refused (${answer.status}): ${detailOf(answer.body)}`;
  throw new CommandFailed(message, answer.status === 503 || answer.status === 504 ? EXIT.notReady : EXIT.failed);
}

/** What became of a word, and what is left to do. */
async function report(
  url: string,
  outcome: Outcome,
  subject: { readonly nodeId: string; readonly label: string },
  { json }: ValidatorsOptions,
): Promise<void> {
  const { result, reason, batch, epoch } = outcome;
  if (result === "ignored") throw new CommandFailed(`ordered with batch ${batch}, and nothing changed: ${reason}`);
  if (json === true) return console.log(JSON.stringify(outcome));
  console.log(`ordered with batch ${batch}: ${reason}`);
  const membership = (await get(url, "/v1/membership")) as Membership;
  const waiting = membership.pending.filter(({ nodeId }) => nodeId === subject.nodeId);
  for (const pending of waiting) console.log(pendingText(pending, membership));
  if (waiting.length > 1)
    console.log("These do not count together: the operators must give the same name and address.");
  const member = membership.members.find(({ nodeId }) => nodeId === subject.nodeId);
  if (member !== undefined)
    console.log(`${subject.label}: ${standingText(member)}, in epoch ${Math.max(epoch, membership.epoch)}`);
}

/** By name, by a whole node id, or by the digits with which exactly one begins. */
function resolveMember({ members }: Membership, who: string): Member {
  const exact = members.filter(({ name, nodeId }) => name === who || nodeId === who);
  const matching =
    exact.length > 0 || !/^[0-9a-f]{4,}$/.test(who) ? exact : members.filter(({ nodeId }) => nodeId.startsWith(who));
  const [only] = matching;
  if (only !== undefined && matching.length === 1) return only;
  if (matching.length > 1)
    throw new CommandFailed(
      `${matching.length} validators are called or begin with ${who}: give the node id`,
      EXIT.usage,
    );
  const names = members.map(({ name }) => name).slice(0, NAMES_SHOWN_MAX);
  throw new CommandFailed(
    `there is no validator ${JSON.stringify(who)}: give a name (${names.join(", ")}), a node id, or its first 4 digits or more`,
    EXIT.usage,
  );
}

function standingText({ standing, condemned, waiting }: Member): string {
  if (condemned !== null) return `${standing}, goes (${condemned})`;
  return waiting === null ? standing : `${standing}, place ${waiting}`;
}

function connection(connected: boolean | undefined): string {
  return connected === undefined ? "" : connected ? "connected" : "away";
}

function pendingText({ kind, nodeId, name, address, approvals, needed }: Pending, { members }: Membership): string {
  const who = approvals.map((id) => members.find((member) => member.nodeId === id)?.name ?? id.slice(0, ID_DIGITS));
  const whom = `${name === "" ? nodeId.slice(0, ID_DIGITS) : name}${address === "" ? "" : ` at ${address}`}`;
  return `${kind} ${whom} (${nodeId.slice(0, ID_DIGITS)}): ${approvals.length} of ${needed} approvals, by ${who.join(", ")}`;
}
