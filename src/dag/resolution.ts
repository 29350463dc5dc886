import type { ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { Docket, type Heard, type Judges } from "./docket.ts";
import { countsIn, openReport, type Report } from "./report.ts";
import { RESOLUTION_BOUNDS, type ResolutionBounds, type ResolutionState } from "./resolution-state.ts";
import type { Resolution, Unit } from "./unit.ts";

/** What one batch's reports lead to. */
export interface Judgement {
  /** The very same object where nothing changed. */
  readonly state: ResolutionState;
  /** What was decided now, and what was decided before about subjects that were reported again. */
  readonly decided: readonly Resolution[];
  /** Subjects that lost with none of their sets given away. */
  readonly lost: readonly Unit[];
  /** Subjects that were reported now and stay open, with how many validators of this epoch have reported them. */
  readonly reported: readonly { readonly subject: Unit; readonly reports: number }[];
}

/**
 * Hears the reports of one batch, in order. A function of its arguments alone. `judge` is the rule; this opens what it
 * is about. Their shapes and signatures were checked (`reportFault`, `obligationsOfReport`) before the bundle was held.
 */
export function applyReports(
  network: NetworkContext,
  state: ResolutionState,
  reports: readonly { readonly creator: ValidatorIndex; readonly report: Report }[],
): Judgement {
  const heard = reports.flatMap(({ creator, report }): readonly Heard[] => {
    const open = countsIn(network.set, report) ? openReport(network, report) : null;
    return open === null ? [] : [{ creator, ...open }];
  });
  return judge(state, network.set, heard);
}

/**
 * The rule. A report on a subject that has won or lost is answered with that ruling. Else its maker is counted; with q
 * reporters on one subject
 * 1. every rival (a unit that shares a set with the subject) of which one of the reports carries a certificate wins its
 *    sets, unless it has lost before; and the subject has lost, also where all those rivals had lost before;
 * 2. without such a rival the subject wins its sets.
 * 3. Where a report carries the subject's own certificate, it wins its sets unless a rival that is certified too has not
 *    lost: that cannot be, and nothing is decided.
 * Whoever shares a set with a winner has lost, and so has a vertex whose bundle's place the log gave to another bundle.
 *
 * What is assumed: at most f liars; a correct validator accepts one member of a set in an epoch, commits only what is
 * certified, votes for nothing that it knows to have lost, and after a report on a subject neither accepts nor commits
 * anything of the subject's sets in this epoch; its report carries one certificate that it holds for a rival, where it
 * holds any.
 *
 * Claim: what a quorum commits to never loses here, whichever comes first, and no two winners share a set.
 * - Certified units of one epoch share no set (invariant 1: two certificates share a correct accepter).
 * - Let Y be committed to by a quorum, and X share a set with it. X is not certified. A quorum that reports X has a correct
 *   member that also committed to Y. It committed before it reported, since it promised; so its report carries a
 *   certificate, Y's or another rival's (invariant 3): X does not win by 2. It cannot win by 1, being uncertified. So Y's
 *   sets are never given away, and Y, certified, does not lose as a subject either: no rival of it is certified. Where Y is
 *   a vertex, its voters voted for its bundle's place too, which therefore is not lost to another bundle.
 * - The same argument the other way round (invariant 4): once X has won by 2, no quorum can commit to Y, because one of its
 *   correct members has reported X without a certificate, and promised. Once X has won by 1 it is certified, so Y cannot be.
 * - Winners hold all their sets, and nothing that shares one wins after them (invariant 5).
 * A rival that lost before still makes the subject lose: a report carries one certificate, and its maker may hold that of
 * another rival, which is final, beside it. That costs both of them only what they claimed together.
 *
 * Between epochs: reports and certificates of an earlier epoch count for nothing (invariant 6), and whoever votes in an
 * epoch has executed the log before it and knows whose loss it decided. Therefore rulings of earlier epochs may be
 * forgotten, and those of the present one must not be (`ResolutionBounds`). What was certified in an earlier epoch is known
 * here only when it was certified again in this one: until then a correct validator that was told of it must not report
 * what conflicts with it.
 *
 * Progress: once a quorum has reports on one subject that count, it is ruled, unless this epoch's rulings are full.
 *
 * A winning vertex takes its sets where its bundle's ancestry is accepted; should its bundle die later, on the losing branch
 * of a fork, then nobody has them: a fork and a conflict together, both by their makers' own doing.
 */
export function judge(
  state: ResolutionState,
  judges: Judges,
  reports: readonly Heard[],
  bounds: ResolutionBounds = RESOLUTION_BOUNDS,
): Judgement {
  if (reports.length === 0) return { state, decided: [], lost: [], reported: [] };
  const docket = new Docket(state, judges, bounds);
  for (const report of reports) docket.hear(report);
  const { told, touched } = docket;
  return {
    state: docket.stateAfter(state),
    decided: told.filter(({ won }) => won).map(({ unit, sets }) => ({ winner: unit, sets })),
    lost: told.filter(({ won }) => !won).map(({ unit }) => unit),
    reported: touched.map(({ subject, reporters }) => ({ subject: subject.unit, reports: reporters.length })),
  };
}
