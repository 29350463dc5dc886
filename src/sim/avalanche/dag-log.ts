import type { AvalancheMessage } from "../../consensus/avalanche/messages.ts";
import type { DagEvent } from "../../consensus/dag-engine.ts";
import type { Effect } from "../../consensus/engine.ts";
import { conflictSetOf, forkSetOf, openEnvelope } from "../../dag/conflict-keys.ts";
import type { Heard } from "../../dag/docket.ts";
import { judge, type Judgement } from "../../dag/resolution.ts";
import { NO_RESOLUTIONS, type ResolutionState, rulingsOf, withoutReports } from "../../dag/resolution-state.ts";
import type { Unit } from "../../dag/unit.ts";
import type { Member } from "../../dag/unit-proof.ts";
import { present } from "../../lib/assert.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import type { DagMember } from "./dag-member.ts";

export type LogEntry =
  | { readonly kind: "judgement"; readonly judgement: Judgement }
  | { readonly kind: "epoch"; readonly network: NetworkContext; readonly state: ResolutionState };

type HeardEvent = Omit<Extract<DagEvent, { readonly kind: "resolutions" }>, "nowMs" | "wallMs">;

/** The ordered log as a list: what every member hears in the same order. The rule of resolution is the real one. */
export class DagLog {
  readonly entries: LogEntry[] = [];
  network: NetworkContext;
  /** Rulings so far. */
  decided = 0;
  #state: ResolutionState = NO_RESOLUTIONS;

  constructor(network: NetworkContext) {
    this.network = network;
  }

  /** What a report says, with the bundles as its maker holds them. */
  openReport(maker: DagMember, effect: Extract<Effect<AvalancheMessage>, { readonly kind: "report" }>): Heard {
    return {
      creator: maker.index,
      subject: memberOf(maker, effect.subject),
      certified: effect.certified === null ? null : memberOf(maker, effect.certified.unit),
    };
  }

  /** Answers whether it counted: reports of an earlier epoch do not. */
  append(epoch: number, heard: Heard): boolean {
    if (epoch !== this.network.set.epoch) return false;
    const judgement = judge(this.#state, this.network.set, [heard]);
    this.decided += judgement.state.rulings.length - this.#state.rulings.length;
    this.#state = judgement.state;
    this.entries.push({ kind: "judgement", judgement });
    return true;
  }

  endEpoch(network: NetworkContext): void {
    this.#state = withoutReports(this.#state);
    this.network = network;
    this.entries.push({ kind: "epoch", network, state: this.#state });
  }

  /** What an engine that begins is told of the log as far as its node has executed it. */
  rememberedBy(heard: number): HeardEvent | null {
    for (let at = heard - 1; at >= 0; at--) {
      const entry = this.entries[at];
      if (entry === undefined) continue;
      const state = entry.kind === "epoch" ? entry.state : entry.judgement.state;
      return state.rulings.length === 0 ? null : { kind: "resolutions", reported: [], ...rulingsOf(state) };
    }
    return null;
  }
}

export function heardOf({ reported, decided, lost }: Judgement): HeardEvent {
  return { kind: "resolutions", reported, decided, lost };
}

function memberOf(maker: DagMember, unit: Unit): Member {
  const held = present(maker.get(unit.bundle), "a reported bundle");
  const place = forkSetOf(held.ref);
  if (unit.vertex === null) return { unit, sets: [place], place };
  const keys = openEnvelope(present(held.bundle.payloads[unit.vertex], "a reported vertex"))?.conflictKeys ?? [];
  return { unit, sets: keys.map(conflictSetOf), place };
}
