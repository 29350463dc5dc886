import { CommandFailed, EXIT } from "./exit-codes.ts";
import { inspect } from "./inspect.ts";
import { type Answer, call, detailOf, get, type TargetOptions, targetUrl } from "./node-client.ts";

interface PeersOptions extends TargetOptions {
  readonly json?: boolean;
}

interface BanOptions extends PeersOptions {
  readonly for?: string;
  readonly reason?: string;
}

const SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3_600],
  ["d", 86_400],
]);

/** As long as the API takes. */
const DAYS_MAX = 365;

/** Prints what a node thinks of its peers. */
export async function listPeers(options: PeersOptions): Promise<void> {
  await inspect("peers", options);
}

/** Bans a peer at one node: this network's other nodes are not told. */
export async function banPeer(who: string, options: BanOptions): Promise<void> {
  const seconds = options.for === undefined ? null : secondsOf(options.for);
  const url = targetUrl(options);
  const peer = await resolvePeer(url, who);
  const body = await order(url, `/v1/peers/${peer.nodeId}/ban`, {
    ...(seconds === null ? {} : { seconds }),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  });
  if (options.json === true) return console.log(JSON.stringify(body));
  const until = field(body, "bannedUntil");
  const end = typeof until === "number" ? `until ${new Date(until).toISOString()}` : "until it is lifted";
  console.log(`${peer.label} is banned at this node ${end}`);
  if (peer.isValidator) console.log("It stays a validator: the others hear its votes, this node does not.");
}

export async function unbanPeer(who: string, options: PeersOptions): Promise<void> {
  const url = targetUrl(options);
  const peer = await resolvePeer(url, who);
  const body = await order(url, `/v1/peers/${peer.nodeId}/unban`, {});
  if (options.json === true) return console.log(JSON.stringify(body));
  console.log(`${peer.label} is welcome at this node again`);
}

/**
 * `90s`, `10m`, `2h`, `1d`, in seconds.
 * @throws CommandFailed with the usage status
 */
export function secondsOf(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Number(digits) * (SECONDS.get(unit ?? "") ?? Number.NaN);
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= DAYS_MAX * 86_400) return seconds;
  const limit = `from 1s to ${DAYS_MAX}d; without --for the ban lasts until it is lifted`;
  throw new CommandFailed(`--for must be a time such as 90s, 10m, 2h or 1d, ${limit}`, EXIT.usage);
}

interface ResolvedPeer {
  readonly nodeId: string;
  /** For people: its name where it has one. */
  readonly label: string;
  readonly isValidator: boolean;
}

/** By a validator's name, a whole node id, or the digits with which exactly one known id begins. */
async function resolvePeer(url: string, who: string): Promise<ResolvedPeer> {
  const validators = itemsOf(await get(url, "/v1/validators"));
  const named = validators.find((validator) => field(validator, "name") === who);
  if (named !== undefined) return resolved(String(field(named, "nodeId")), validators);
  if (/^[0-9a-f]{64}$/.test(who)) return resolved(who, validators);
  const known = [...validators, ...itemsOf(await get(url, "/v1/peers"))].map((item) => String(field(item, "nodeId")));
  const matching = [...new Set(known)].filter((nodeId) => /^[0-9a-f]{4,}$/.test(who) && nodeId.startsWith(who));
  const [only] = matching;
  if (only !== undefined && matching.length === 1) return resolved(only, validators);
  if (matching.length > 1)
    throw new CommandFailed(`${matching.length} node ids begin with ${who}: give more digits`, EXIT.usage);
  const names = validators.map((validator) => String(field(validator, "name"))).slice(0, NAMES_SHOWN_MAX);
  throw new CommandFailed(
    `the node knows no peer ${JSON.stringify(who)}: give a validator's name (${names.join(", ")}), a node id, or its first 4 digits or more`,
    EXIT.usage,
  );
}

const NAMES_SHOWN_MAX = 10;

function resolved(nodeId: string, validators: readonly unknown[]): ResolvedPeer {
  const validator = validators.find((candidate) => field(candidate, "nodeId") === nodeId);
  const name = field(validator, "name");
  return { nodeId, label: typeof name === "string" ? name : nodeId.slice(0, 16), isValidator: validator !== undefined };
}

async function order(url: string, path: string, body: object): Promise<unknown> {
  const answer: Answer = await call(url, path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.status === 200) return answer.body;
  throw new CommandFailed(`${url}${path} answered ${answer.status}: ${detailOf(answer.body)}`);
}

function itemsOf(body: unknown): readonly unknown[] {
  const items = field(body, "items");
  return Array.isArray(items) ? items : [];
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
