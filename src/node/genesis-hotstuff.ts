import { encode } from "../codec/codec.ts";
import { struct } from "../codec/composites.ts";
import { string, u8 } from "../codec/primitives.ts";
import type { VoteRoute } from "../consensus/hotstuff/replica.ts";
import type { Phases } from "../consensus/hotstuff/rules.ts";
import type { EngineName } from "./genesis-application.ts";

const PHASES: readonly Phases[] = [3, 2];
const VOTE_ROUTES: readonly VoteRoute[] = ["leader", "all"];

/** How a network runs HotStuff: in its genesis, because replicas that differ in it would not agree on what is committed. */
export interface HotStuffChoice {
  /** How many certified blocks in a row commit the first of them. */
  readonly phases: Phases;
  /** Whom votes are sent to: the next leader, or everybody. */
  readonly voteRoute: VoteRoute;
}

/** What a genesis means that says nothing of it. */
export const HOTSTUFF_DEFAULTS: HotStuffChoice = { phases: 3, voteRoute: "leader" };

export interface GenesisHotStuff {
  /** Absent: `HOTSTUFF_DEFAULTS`. */
  readonly hotstuff?: HotStuffChoice;
}

/** What the genesis hash covers of it; null for the defaults, so that they need not be said. */
export function hotStuffBytes({ hotstuff }: GenesisHotStuff): Uint8Array | null {
  if (hotstuff === undefined || isDefault(hotstuff)) return null;
  const codec = struct<{ what: string; phases: number; voteRoute: string }>({
    what: string(32),
    phases: u8,
    voteRoute: string(32),
  });
  return encode(codec, { what: "hotstuff", phases: hotstuff.phases, voteRoute: hotstuff.voteRoute });
}

/** The field of the genesis document; none for the defaults. */
export function formatHotStuff({ hotstuff }: GenesisHotStuff): Readonly<Record<string, unknown>> {
  if (hotstuff === undefined || isDefault(hotstuff)) return {};
  return { hotstuff: { phases: hotstuff.phases, vote_route: hotstuff.voteRoute } };
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
  const unknown = Object.keys(given).find((key) => key !== "phases" && key !== "vote_route");
  if (unknown !== undefined) return { fault: `${wanted}; it has no field ${JSON.stringify(unknown)}` };
  const choice = hotStuffChoice(Reflect.get(given, "phases"), Reflect.get(given, "vote_route"));
  return "fault" in choice ? { fault: `hotstuff.${choice.fault}` } : { hotstuff: choice };
}

/** What was chosen, defaults where nothing was; or what is wrong with it. */
export function hotStuffChoice(phases: unknown, voteRoute: unknown): HotStuffChoice | { readonly fault: string } {
  const { phases: usual, voteRoute: usualRoute } = HOTSTUFF_DEFAULTS;
  const foundPhases = phases === undefined ? usual : PHASES.find((one) => one === phases);
  if (foundPhases === undefined) return { fault: `phases must be ${PHASES.join(" or ")}` };
  const foundRoute = voteRoute === undefined ? usualRoute : VOTE_ROUTES.find((one) => one === voteRoute);
  if (foundRoute === undefined) return { fault: `vote_route must be "${VOTE_ROUTES.join('" or "')}"` };
  return { phases: foundPhases, voteRoute: foundRoute };
}

function isDefault({ phases, voteRoute }: HotStuffChoice): boolean {
  return phases === HOTSTUFF_DEFAULTS.phases && voteRoute === HOTSTUFF_DEFAULTS.voteRoute;
}
