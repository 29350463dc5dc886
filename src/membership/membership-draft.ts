import type { NodeId } from "../crypto/identity.ts";
import { assert, present, unreachable } from "../lib/assert.ts";
import {
  type Approval,
  changeId,
  countBy,
  PENDING_PER_APPROVER_MAX,
  type PendingChanges,
  subjectOf,
  withApproval,
  withoutSubject,
} from "./approvals.ts";
import type { Candidate } from "./candidate.ts";
import { type Evidence, evidenceId } from "./evidence.ts";
import type { Epoch, Sequence, ValidatorIndex } from "./ids.ts";
import type { Change, MembershipCommand } from "./membership-command.ts";
import {
  EVIDENCE_EPOCHS_MAX,
  isConvicted,
  isOpinion,
  type MembershipEntry,
  newEntry,
  type RemovalCause,
  urgency,
  wasActiveIn,
} from "./membership-entry.ts";
import { quorumSize } from "./quorum.ts";
import { isOfEveryEpoch } from "./statement.ts";
import { dismissalBy, judge, type Observation, type Report } from "./reputation.ts";
import { VALIDATORS_MAX } from "./validator-set.ts";

/** What became of a command, and why, for people. */
export interface Verdict {
  readonly result: "applied" | "noted" | "ignored";
  readonly reason: string;
}

const applied = (reason: string): Verdict => ({ result: "applied", reason });
const noted = (reason: string): Verdict => ({ result: "noted", reason });
const ignored = (reason: string): Verdict => ({ result: "ignored", reason });

/** The lists that a draft changes; each is replaced, never changed in place. */
interface DraftLists {
  readonly entries: readonly MembershipEntry[];
  readonly queue: readonly ValidatorIndex[];
  readonly approvals: PendingChanges;
  readonly reports: readonly Report[];
}

/**
 * The membership while one batch is applied. Commands condemn, or put nodes into the queue; places are given and taken
 * only when the batch is through, so that several changes make one next epoch.
 */
export class MembershipDraft {
  readonly #epoch: Epoch;
  readonly #sequence: Sequence;
  /** n of the epoch: what happens within a batch does not change what a quorum is. */
  readonly #activeCount: number;
  #lists: DraftLists;
  #hasNewReports = false;

  constructor(epoch: Epoch, lists: DraftLists, sequence: Sequence) {
    const { entries, queue, approvals, reports } = lists;
    this.#epoch = epoch;
    this.#sequence = sequence;
    this.#activeCount = entries.filter(({ standing }) => standing === "active").length;
    this.#lists = { entries, queue, approvals, reports };
  }

  get lists(): DraftLists {
    return this.#lists;
  }

  apply(creator: ValidatorIndex, command: MembershipCommand): Verdict {
    switch (command.kind) {
      case "evidence":
        return this.#convict(command.evidence);
      case "admit":
      case "dismiss":
        return this.#approve(creator, command);
      case "leave":
        return this.#leave(creator);
      case "report":
        return this.#report(creator, command.observations);
      default:
        return unreachable(command);
    }
  }

  /** Drops what expired, and carries out what waits with a quorum: a smaller set may have made it one. */
  renewApprovals(keep: (approvals: PendingChanges) => PendingChanges): void {
    this.#set({ approvals: keep(this.#lists.approvals) });
    for (const { change, approvals } of this.#lists.approvals) {
      if (this.#isQuorum(approvals) && this.#changeFault(change) === null) this.#carryOut(change);
    }
  }

  /** Judges every active validator, where the batch brought a report. Who recovered before it was replaced stays. */
  judgeAll(): void {
    if (!this.#hasNewReports) return;
    const observations = new Map<ValidatorIndex, Observation[]>();
    for (const report of this.#lists.reports) {
      if (!this.#counts(report.reporter)) continue;
      for (const observation of report.observations) {
        const known = observations.get(observation.validator) ?? [];
        known.push(observation);
        observations.set(observation.validator, known);
      }
    }
    const entries = this.#lists.entries.map((entry, index) => {
      const judgement = judge(this.#activeCount, observations.get(index as ValidatorIndex) ?? []);
      if (entry.standing !== "active" || judgement === null) return entry;
      const { condemned, reputationPpm } = entry;
      const isByReports = condemned === null || isOpinion(condemned);
      const next = isByReports ? dismissalBy(judgement) : condemned;
      if (next === condemned && reputationPpm === judgement.reputationPpm) return entry;
      return { ...entry, condemned: next, reputationPpm: judgement.reputationPpm };
    });
    this.#set({ entries });
  }

  #convict(evidence: Evidence): Verdict {
    const index = evidence.first.proof.seal.signer;
    const entry = this.#lists.entries[index];
    if (entry === undefined) return ignored(`signer ${index} is not in the roster`);
    if (isConvicted(entry)) return ignored(`validator ${index} is convicted already`);
    // A bundle's statement names no epoch: it binds its maker from the day it has a lane.
    if (!isOfEveryEpoch(evidence.first.statement.phase)) {
      const { epoch } = evidence;
      if (epoch > this.#epoch) return ignored(`epoch ${epoch} has not begun`);
      if (epoch + EVIDENCE_EPOCHS_MAX < this.#epoch) {
        return ignored(`epoch ${epoch} is more than ${EVIDENCE_EPOCHS_MAX} epochs ago`);
      }
      if (!wasActiveIn(entry, epoch)) return ignored(`validator ${index} was not active in epoch ${epoch}`);
    }
    if (entry.standing === "active") this.#condemn(index, "evidence");
    else this.#retire(index, "convicted");
    return applied(`validator ${index} is convicted by evidence ${evidenceId(evidence)}`);
  }

  #approve(creator: ValidatorIndex, change: Change): Verdict {
    if (!this.#counts(creator)) return ignored(`validator ${creator} is not an active one`);
    const fault = this.#changeFault(change);
    if (fault !== null) return ignored(fault);
    const id = changeId(change);
    if (countBy(this.#lists.approvals, creator, id) >= PENDING_PER_APPROVER_MAX) {
      return ignored(`validator ${creator} approves of ${PENDING_PER_APPROVER_MAX} waiting changes already`);
    }
    this.#set({ approvals: withApproval(this.#lists.approvals, change, creator, this.#sequence) });
    const { approvals } = present(
      this.#lists.approvals.find((pending) => pending.id === id),
      "the approved change",
    );
    if (this.#isQuorum(approvals)) return applied(this.#carryOut(change));
    const given = approvals.filter(({ validator }) => this.#counts(validator)).length;
    return noted(`${given} of ${quorumSize(this.#activeCount)} approvals`);
  }

  #leave(creator: ValidatorIndex): Verdict {
    const entry = this.#lists.entries[creator];
    if (entry === undefined) return ignored(`validator ${creator} is not in the roster`);
    const { standing, condemned } = entry;
    if (condemned !== null && !isOpinion(condemned)) return ignored(`validator ${creator} goes already: ${condemned}`);
    if (standing === "active") this.#condemn(creator, "left");
    else if (standing === "standby" || standing === "inactive") this.#retire(creator, "left");
    else return ignored(`validator ${creator} has no place to leave: ${standing}`);
    return applied(`validator ${creator} leaves`);
  }

  #report(creator: ValidatorIndex, observations: readonly Observation[]): Verdict {
    if (!this.#counts(creator)) return ignored(`validator ${creator} is not an active one`);
    const ofOthers = observations.filter(
      ({ validator }) => validator !== creator && this.#lists.entries[validator]?.standing === "active",
    );
    if (ofOthers.length === 0) return ignored("no observation of another active validator");
    const others = this.#lists.reports.filter(({ reporter }) => reporter !== creator);
    const reports = [...others, { reporter: creator, observations: ofOthers }];
    this.#set({ reports: reports.sort((left, right) => left.reporter - right.reporter) });
    this.#hasNewReports = true;
    return noted(`a report on ${ofOthers.length} validators`);
  }

  /** Why this change cannot be made as things stand; null where it can. */
  #changeFault(change: Change): string | null {
    const place = this.#placeOf(subjectOf(change));
    const entry = place === null ? null : present(this.#lists.entries[place], "an entry");
    if (change.kind === "admit") {
      if (entry === null) {
        return this.#lists.entries.length < VALIDATORS_MAX ? null : `the roster has its ${VALIDATORS_MAX} validators`;
      }
      if (isConvicted(entry)) return `validator ${place} is convicted: its key never comes back`;
      if (entry.standing === "standby") return `validator ${place} waits for a place already`;
      return entry.standing === "active" && entry.condemned === null ? `validator ${place} is active already` : null;
    }
    if (entry === null) return `node ${change.validator} is not in the roster`;
    if (entry.standing === "standby") return null;
    if (entry.standing !== "active") return `validator ${place} has no place to lose: ${entry.standing}`;
    const isGoing = entry.condemned === "dismissed" || entry.condemned === "evidence";
    return isGoing ? `validator ${place} goes already: ${entry.condemned}` : null;
  }

  #carryOut(change: Change): string {
    const subject = subjectOf(change);
    this.#set({ approvals: withoutSubject(this.#lists.approvals, subject) });
    if (change.kind === "admit") return this.#admit(change.candidate);
    const place = present(this.#placeOf(subject), "a validator to dismiss");
    if (this.#lists.entries[place]?.standing === "active") this.#condemn(place, "dismissed");
    else this.#retire(place, "dismissed");
    return `validator ${place} is dismissed`;
  }

  #admit(candidate: Candidate): string {
    const { entries, queue } = this.#lists;
    const place = this.#placeOf(candidate.nodeId);
    if (place === null) {
      const next = entries.length as ValidatorIndex;
      this.#set({ entries: [...entries, newEntry(candidate)], queue: [...queue, next] });
      return `validator ${next} is admitted`;
    }
    const entry = present(entries[place], "an entry");
    if (entry.standing === "active") {
      this.#replace(place, { ...entry, condemned: null });
      return `validator ${place} keeps its place`;
    }
    // Its keys are the same, and its name stays: the set of an epoch never changes.
    this.#replace(place, {
      ...entry,
      address: candidate.address === "" ? entry.address : candidate.address,
      standing: "standby",
    });
    this.#set({ queue: [...queue, place] });
    return `validator ${place} is admitted again`;
  }

  /**
   * An active validator loses its place when the batch is through, or as soon as the rules of `rotate` allow it. A cause
   * only ever gives way to a more urgent one: the callers ignore the others.
   */
  #condemn(index: ValidatorIndex, cause: RemovalCause): void {
    const entry = present(this.#lists.entries[index], "an entry");
    assert(entry.condemned === null || urgency(cause) < urgency(entry.condemned), "a more urgent cause");
    this.#replace(index, { ...entry, condemned: cause });
  }

  /** Somebody who is not active loses what it has: its place in the queue, or the way back. */
  #retire(index: ValidatorIndex, standing: "left" | "dismissed" | "convicted"): void {
    const entry = present(this.#lists.entries[index], "an entry");
    this.#replace(index, { ...entry, standing });
    this.#set({
      queue: this.#lists.queue.filter((waiting) => waiting !== index),
      approvals: withoutSubject(this.#lists.approvals, entry.nodeId),
    });
  }

  /** Whether this validator's approvals and reports count: active in this epoch, and not convicted since. */
  #counts(index: ValidatorIndex): boolean {
    const entry = this.#lists.entries[index];
    return entry !== undefined && entry.standing === "active" && !isConvicted(entry);
  }

  #isQuorum(approvals: readonly Approval[]): boolean {
    return approvals.filter(({ validator }) => this.#counts(validator)).length >= quorumSize(this.#activeCount);
  }

  #placeOf(nodeId: NodeId): ValidatorIndex | null {
    const place = this.#lists.entries.findIndex((entry) => entry.nodeId === nodeId);
    return place < 0 ? null : (place as ValidatorIndex);
  }

  #replace(index: ValidatorIndex, entry: MembershipEntry): void {
    this.#set({ entries: this.#lists.entries.with(index, entry) });
  }

  #set(changes: Partial<DraftLists>): void {
    this.#lists = { ...this.#lists, ...changes };
  }
}
