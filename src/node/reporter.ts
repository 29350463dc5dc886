import type { NodeId } from "../crypto/identity.ts";
import { present } from "../lib/assert.ts";
import type { Sequence, ValidatorIndex } from "../membership/ids.ts";
import type { MembershipCommand } from "../membership/membership-command.ts";
import { isOpinion } from "../membership/membership-entry.ts";
import { INACTIVE_MS_MAX, type Observation, REPUTATION_PPM_MIN, reputationPpm } from "../membership/reputation.ts";
import type { Epochs } from "./epochs.ts";
import type { Clock, Transport } from "./ports.ts";

/** What the guard at the transport saw of one validator; see `PeerGuard.observations`. */
export interface SeenValidator {
  readonly nodeId: NodeId;
  readonly validPpm: number;
  readonly uptimePpm: number;
  readonly inactiveMs: number;
}

export interface ReporterPorts<M> {
  readonly epochs: Epochs<M>;
  readonly clock: Clock;
  readonly reportIntervalMs: number;
  /** What this node saw of the other validators; null where nobody watches. */
  observations(): readonly SeenValidator[] | null;
  readonly transport: Transport;
  /** The highest sequence that a validator was heard to vote for. */
  votedUpTo(validator: ValidatorIndex): Sequence;
  executed(): Sequence;
  say(command: MembershipCommand): boolean;
  isStopped(): boolean;
}

/** A validator worse than this is worth a report; so an idle, healthy network says nothing. */
const NOTABLE_PPM = 900_000;
const NOTABLE_INACTIVE_MS: number = INACTIVE_MS_MAX / 2;

/** Batches that were executed without a vote of a connected validator before its silence counts. */
const SILENT_BATCHES = 64;

/**
 * Says from time to time what this node saw of the others, so that all can judge by what was ordered, and approves the
 * return of who lost its place by absence alone and is back.
 */
export class Reporter<M> {
  readonly #ports: ReporterPorts<M>;
  /** When each validator's newest vote was first seen, by index. */
  readonly #voted = new Map<ValidatorIndex, { readonly sequence: Sequence; readonly atMs: number }>();
  /** Since when each absentee has been back without a break. */
  readonly #backSinceMs = new Map<ValidatorIndex, number>();
  readonly #welcomed = new Set<ValidatorIndex>();
  #wasNotable = false;

  constructor(ports: ReporterPorts<M>) {
    this.#ports = ports;
  }

  start(): void {
    this.#again();
  }

  #again(): void {
    const { clock, reportIntervalMs: intervalMs } = this.#ports;
    clock.setTimer(clock.monotonicMs() + intervalMs, () => {
      if (this.#ports.isStopped()) return;
      this.#report();
      this.#welcomeBack();
      this.#again();
    });
  }

  #report(): void {
    const { epochs } = this.#ports;
    const seen = this.#ports.observations();
    const { self } = epochs;
    if (seen === null || self === null) return;
    const observations = seen.flatMap((one): Observation[] => {
      const validator = epochs.network.set.indexOf(one.nodeId);
      if (validator === null || validator === self) return [];
      const { validPpm, uptimePpm } = one;
      return [{ validator, validPpm, uptimePpm, inactiveMs: this.#inactiveMs(validator, one) }];
    });
    observations.sort((left, right) => left.validator - right.validator);
    const isNotable = observations.some(
      (one) => reputationPpm(one) < NOTABLE_PPM || one.inactiveMs > NOTABLE_INACTIVE_MS,
    );
    // One that is to go for what was once seen of it must be seen to have recovered.
    const isAwaited = epochs.membership.entries.some(({ condemned }) => condemned !== null && isOpinion(condemned));
    if (observations.length === 0 || (!isNotable && !this.#wasNotable && !isAwaited)) return;
    if (this.#ports.say({ kind: "report", observations })) this.#wasNotable = isNotable;
  }

  /**
   * Absent, or present and mute while others decide. Frames alone do not tell: in an idle network a healthy validator
   * sends none, and its connection, which QUIC keeps alive, is its sign of life.
   */
  #inactiveMs(validator: ValidatorIndex, { nodeId, inactiveMs }: SeenValidator): number {
    const { clock } = this.#ports;
    const nowMs = clock.monotonicMs();
    const sequence = this.#ports.votedUpTo(validator);
    const known = this.#voted.get(validator);
    if (known === undefined || known.sequence !== sequence) this.#voted.set(validator, { sequence, atMs: nowMs });
    if (!this.#isConnected(nodeId)) return Math.floor(inactiveMs);
    const { atMs } = present(this.#voted.get(validator), "a validator's newest vote");
    return this.#ports.executed() - sequence > SILENT_BATCHES ? Math.floor(nowMs - atMs) : 0;
  }

  #isConnected(peer: NodeId): boolean {
    return this.#ports.transport.peers().some(({ nodeId }) => nodeId === peer);
  }

  /** Whoever was removed for absence and has been connected for a whole interval gets this node's approval. */
  #welcomeBack(): void {
    const { epochs, clock, reportIntervalMs: intervalMs } = this.#ports;
    if (epochs.self === null) return;
    const nowMs = clock.monotonicMs();
    epochs.membership.entries.forEach((entry, place) => {
      const validator = place as ValidatorIndex;
      const wasAbsent = entry.standing === "inactive" && entry.reputationPpm >= REPUTATION_PPM_MIN;
      if (!wasAbsent) this.#welcomed.delete(validator);
      if (!wasAbsent || !this.#isConnected(entry.nodeId)) {
        this.#backSinceMs.delete(validator);
        return;
      }
      const sinceMs = this.#backSinceMs.get(validator) ?? nowMs;
      this.#backSinceMs.set(validator, sinceMs);
      if (nowMs - sinceMs < intervalMs || this.#welcomed.has(validator)) return;
      const { nodeId, publicKeys, name, address } = entry;
      const said = this.#ports.say({ kind: "admit", candidate: { nodeId, publicKeys, name, address } });
      if (said) this.#welcomed.add(validator);
    });
  }
}
