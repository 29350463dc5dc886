import { encode } from "../codec/codec.ts";
import { struct } from "../codec/composites.ts";
import { string, u8 } from "../codec/primitives.ts";
import type { LeaderChoice } from "../consensus/hotstuff/leaders.ts";
import type { VoteRoute } from "../consensus/hotstuff/replica.ts";
import type { Phases } from "../consensus/hotstuff/rules.ts";
import type { EngineName } from "./genesis-application.ts";

const PHASES: readonly Phases[] = [3, 2];
const VOTE_ROUTES: readonly VoteRoute[] = ["leader", "all"];
const LEADERS: readonly LeaderChoice[] = ["round-robin", "reputation"];

/** How a network runs HotStuff: in its genesis, because replicas that differ in it would not agree on what is committed. */
export interface HotStuffChoice {
  /** How many certified blocks in a row commit the first of them. */
  readonly phases: Phases;
  /** Whom votes are sent to: the next leader, or everybody. */
  readonly voteRoute: VoteRoute;
  /** Whether validators that failed as leaders are left out for a while. */
  readonly leaders: LeaderChoice;
}

/** The fields of its table, in the order of what they choose. */
const FIELDS: readonly string[] = ["phases", "vote_route", "leaders"];

/** What a genesis means that says nothing of it. */
export const HOTSTUFF_DEFAULTS: HotStuffChoice = { phases: 3, voteRoute: "leader", leaders: "round-robin" };

/** What a new network is made with where nothing else is asked for (docs/hotstuff.md has the figures). */
export const HOTSTUFF_OF_NEW_NETWORKS: HotStuffChoice = { ...HOTSTUFF_DEFAULTS, leaders: "reputation" };

export interface GenesisHotStuff {
  /** Absent: `HOTSTUFF_DEFAULTS`. */
  readonly hotstuff?: HotStuffChoice;
}

interface Named {
  readonly what: string;
  readonly phases: number;
  readonly voteRoute: string;
}

/** What the genesis hash covers of it; null for the defaults, so that they need not be said. */
export function hotStuffBytes({ hotstuff }: GenesisHotStuff): Uint8Array | null {
  if (hotstuff === undefined || isDefault(hotstuff)) return null;
  const { phases, voteRoute, leaders } = hotstuff;
  const fields = { what: string(32), phases: u8, voteRoute: string(32) };
  const named = { what: "hotstuff", phases, voteRoute };
  // A network of before that choice keeps its name.
  if (leaders === HOTSTUFF_DEFAULTS.leaders) return encode(struct<Named>(fields), named);
  return encode(struct<Named & { leaders: string }>({ ...fields, leaders: string(32) }), { ...named, leaders });
}

/** The field of the genesis document; none for the defaults. */
export function formatHotStuff({ hotstuff }: GenesisHotStuff): Readonly<Record<string, unknown>> {
  if (hotstuff === undefined || isDefault(hotstuff)) return {};
  const { phases, voteRoute, leaders } = hotstuff;
  const said = leaders === HOTSTUFF_DEFAULTS.leaders ? {} : { leaders };
  return { hotstuff: { phases, vote_route: voteRoute, ...said } };
}

/** What a genesis document says of it, or what is wrong with it: the place and what belongs there. */
export function parseHotStuff(
  root: Readonly<Record<string, unknown>>,
  engine: EngineName,
): GenesisHotStuff | { readonly fault: string } {
  const given = root["hotstuff"];
  if (given === undefined) return {};
  if (engine !== "hotstuff") return { fault: 'hotstuff belongs to engine "hotstuff"' };
  const wanted = 'hotstuff must be an object such as {"phases": 2, "vote_route": "all"}';
  if (typeof given !== "object" || given === null || Array.isArray(given)) return { fault: wanted };
  const unknown = Object.keys(given).find((key) => !FIELDS.includes(key));
  if (unknown !== undefined) return { fault: `${wanted}; it has no field ${JSON.stringify(unknown)}` };
  const [phases, voteRoute, leaders] = FIELDS.map((field): unknown => Reflect.get(given, field));
  const choice = hotStuffChoice({ phases, voteRoute, leaders });
  return "fault" in choice ? { fault: `hotstuff.${choice.fault}` } : { hotstuff: choice };
}

/** What was chosen, what `usual` says where nothing was; or what is wrong with it. */
export function hotStuffChoice(
  { phases, voteRoute, leaders }: Readonly<Record<keyof HotStuffChoice, unknown>>,
  { phases: usual, voteRoute: usualRoute, leaders: usualLeaders }: HotStuffChoice = HOTSTUFF_DEFAULTS,
): HotStuffChoice | { readonly fault: string } {
  const foundPhases = phases === undefined ? usual : PHASES.find((one) => one === phases);
  if (foundPhases === undefined) return { fault: `phases must be ${PHASES.join(" or ")}` };
  const foundRoute = voteRoute === undefined ? usualRoute : VOTE_ROUTES.find((one) => one === voteRoute);
  if (foundRoute === undefined) return { fault: `vote_route must be "${VOTE_ROUTES.join('" or "')}"` };
  const foundLeaders = leaders === undefined ? usualLeaders : LEADERS.find((one) => one === leaders);
  if (foundLeaders === undefined) return { fault: `leaders must be "${LEADERS.join('" or "')}"` };
  return { phases: foundPhases, voteRoute: foundRoute, leaders: foundLeaders };
}

function isDefault({ phases, voteRoute, leaders }: HotStuffChoice): boolean {
  const { phases: usual, voteRoute: usualRoute, leaders: usualLeaders } = HOTSTUFF_DEFAULTS;
  return phases === usual && voteRoute === usualRoute && leaders === usualLeaders;
}
