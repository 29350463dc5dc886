import type { NodeId } from "../crypto/identity.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import { automaticBan, type Ban, isBanActive, operatorBan, strikesAt } from "../peering/ban.ts";
import { PeerScore, SCORE_MAX_PPM, THROTTLE_PPM, type ViolationType } from "../peering/peer-score.ts";
import { TokenBucket } from "../peering/token-bucket.ts";
import type { Log } from "./observer.ts";
import { BAN_REASON_CHARS_MAX, BANS_MAX } from "./peers-file.ts";
import type { Clock } from "./ports.ts";
import type { PeerControl, PeerReport, PeerState } from "./service.ts";

/** Peers with an opinion; above any `max_peers`, and what has no spot on it is forgotten first. */
const MARKS_MAX = 2_048;

/** Log lines of one peer and type: the first ones, then one in ten seconds with the number of those left out. */
const LOG_LINES = { rate: 0.1, burst: 5 } as const;

export interface PeerBookOptions {
  /** The validators of now; their number of faults tolerated bounds what this node bans by itself. */
  readonly validators: () => ValidatorSet;
  readonly clock: Clock;
  readonly log: Log;
  readonly bans: ReadonlyMap<NodeId, Ban>;
  /** Puts the bans on disk. */
  readonly save: (bans: ReadonlyMap<NodeId, Ban>) => Promise<void>;
  /** For metrics; must not throw. */
  readonly onViolation: (peer: NodeId, type: ViolationType) => void;
  /** A ban began: the peer is to be disconnected. */
  readonly onBanned: (peer: NodeId, reason: string) => void;
}

interface Mark {
  readonly score: PeerScore;
  readonly lines: Map<ViolationType | "withheld", { readonly bucket: TokenBucket; suppressed: number }>;
  /** Was banned when last looked at; its score is raised when the ban has ended. */
  wasBanned: boolean;
}

/**
 * What this node thinks of each peer: scores, and bans that follow from them or from the operator.
 *
 * A ban is local and removes no validator; yet a banned validator's votes are not heard here. So this node never bans more
 * than f validators by itself: if more than f seem to lie, either the network is beyond what it tolerates or it is this node
 * that errs, and in both cases deafness helps nobody. An operator may ban whom it likes.
 */
export class PeerBook implements PeerControl {
  readonly #options: PeerBookOptions;
  readonly #marks = new Map<NodeId, Mark>();
  readonly #bans: Map<NodeId, Ban>;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: PeerBookOptions) {
    this.#options = options;
    this.#bans = new Map(options.bans);
  }

  /** Takes note of what a peer did; `detail` is for the log. True where it counted as a violation. */
  record(peer: NodeId, type: ViolationType, detail: string): boolean {
    const nowMs = this.#nowMs();
    const mark = this.#mark(peer);
    if (!mark.score.record(type, nowMs)) return false;
    this.#options.onViolation(peer, type);
    this.#logLine(mark, type, "peer.violation", { peer, type, detail, scorePpm: mark.score.ppm(nowMs) });
    if (mark.score.standing(nowMs) === "condemned" && !this.isBanned(peer)) this.#condemn(peer, mark, type);
    return true;
  }

  isBanned(peer: NodeId): boolean {
    const ban = this.#bans.get(peer);
    return ban !== undefined && isBanActive(ban, this.#options.clock.nowMs());
  }

  stateOf(peer: NodeId): PeerState {
    if (this.isBanned(peer)) return "banned";
    const standing = this.#released(peer)?.score.standing(this.#nowMs()) ?? "good";
    // Condemned without a ban: it was withheld.
    return standing === "condemned" ? "throttled" : standing;
  }

  report(peer: NodeId): PeerReport {
    const state = this.stateOf(peer);
    const score = this.#marks.get(peer)?.score;
    const ban = state === "banned" ? this.#bans.get(peer) : undefined;
    return {
      nodeId: peer,
      score: (score?.ppm(this.#nowMs()) ?? SCORE_MAX_PPM) / SCORE_MAX_PPM,
      state,
      violations: score?.counts() ?? {},
      ban: ban === undefined ? null : { sinceMs: ban.sinceMs, untilMs: ban.untilMs, reason: ban.reason, by: ban.by },
    };
  }

  reports(also: readonly NodeId[]): readonly PeerReport[] {
    const banned = [...this.#bans.keys()].filter((peer) => this.isBanned(peer));
    const known = new Set([...also, ...this.#marks.keys(), ...banned]);
    return [...known].sort((left, right) => (left < right ? -1 : 1)).map((peer) => this.report(peer));
  }

  bannedCount(): number {
    return [...this.#bans.keys()].filter((peer) => this.isBanned(peer)).length;
  }

  async ban(
    peer: NodeId,
    { lengthMs, reason }: { readonly lengthMs: number | null; readonly reason: string },
  ): Promise<PeerReport> {
    const text = reason.slice(0, BAN_REASON_CHARS_MAX);
    this.#begin(peer, operatorBan(this.#bans.get(peer) ?? null, text, this.#options.clock.nowMs(), lengthMs));
    await this.#save();
    return this.report(peer);
  }

  async unban(peer: NodeId): Promise<PeerReport> {
    const mark = this.#marks.get(peer);
    if (mark !== undefined) mark.wasBanned = false;
    mark?.score.raiseTo(SCORE_MAX_PPM, this.#nowMs());
    if (this.#bans.delete(peer)) this.#options.log("info", "peer.unbanned", { peer, by: "operator" });
    await this.#save();
    return this.report(peer);
  }

  /** Resolves when every change so far is on disk, or failed to get there (which is logged). */
  async settled(): Promise<void> {
    await this.#saving.catch(() => undefined);
  }

  #condemn(peer: NodeId, mark: Mark, type: ViolationType): void {
    const set = this.#options.validators();
    if (set.indexOf(peer) !== null) {
      const banned = [...this.#bans.keys()].filter((other) => set.indexOf(other) !== null && this.isBanned(other));
      if (banned.length >= set.faultTolerance) {
        const why = `${banned.length} of ${set.size} validators are banned here, and the network tolerates ${set.faultTolerance}`;
        return this.#logLine(mark, "withheld", "peer.ban-withheld", { peer, type, why });
      }
    }
    this.#begin(peer, automaticBan(this.#bans.get(peer) ?? null, type, this.#options.clock.nowMs()));
    this.#save().catch(() => undefined);
  }

  #begin(peer: NodeId, ban: Ban): void {
    if (!this.#bans.has(peer)) this.#makeRoom();
    this.#bans.set(peer, ban);
    this.#mark(peer).wasBanned = true;
    const { untilMs, reason, by, strikes } = ban;
    this.#options.log("warn", "peer.banned", { peer, until: isoTime(untilMs), reason, by, strikes });
    this.#options.onBanned(peer, `banned: ${reason}`);
  }

  /** The mark of a peer; after a ban ended its score is on the edge of being throttled, and recovers from there. */
  #released(peer: NodeId): Mark | undefined {
    const mark = this.#marks.get(peer);
    if (mark?.wasBanned === true && !this.isBanned(peer)) {
      mark.wasBanned = false;
      mark.score.raiseTo(THROTTLE_PPM, this.#nowMs());
    }
    return mark;
  }

  #mark(peer: NodeId): Mark {
    const known = this.#released(peer);
    if (known !== undefined) return known;
    const nowMs = this.#nowMs();
    if (this.#marks.size >= MARKS_MAX) {
      const clean = [...this.#marks].find(([, { score }]) => score.ppm(nowMs) === SCORE_MAX_PPM)?.[0];
      const oldest = clean ?? this.#marks.keys().next().value;
      if (oldest !== undefined) this.#marks.delete(oldest);
    }
    const mark: Mark = { score: new PeerScore(nowMs), lines: new Map(), wasBanned: this.isBanned(peer) };
    this.#marks.set(peer, mark);
    return mark;
  }

  /** Ended bans without strikes are of no use; when all are in force, the one that ends first gives way. */
  #makeRoom(): void {
    const wallMs = this.#options.clock.nowMs();
    for (const [peer, ban] of this.#bans) {
      if (!isBanActive(ban, wallMs) && strikesAt(ban, wallMs) === 0) this.#bans.delete(peer);
    }
    if (this.#bans.size < BANS_MAX) return;
    const end = ({ untilMs }: Ban): number => untilMs ?? Number.POSITIVE_INFINITY;
    const [first] = [...this.#bans].sort(([, left], [, right]) => end(left) - end(right));
    if (first !== undefined) this.#bans.delete(first[0]);
  }

  /** One write at a time; what changed meanwhile is in the next one. */
  #save(): Promise<void> {
    const saved = this.#saving.catch(() => undefined).then(() => this.#options.save(new Map(this.#bans)));
    this.#saving = saved;
    saved.catch((error: unknown) => {
      const consequence = "bans are lost at the next restart";
      this.#options.log("error", "peers.not-saved", { error: String(error), consequence });
    });
    return saved;
  }

  #logLine(
    mark: Mark,
    key: ViolationType | "withheld",
    event: string,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    const nowMs = this.#nowMs();
    const line = mark.lines.get(key) ?? { bucket: new TokenBucket({ ...LOG_LINES, nowMs }), suppressed: 0 };
    mark.lines.set(key, line);
    if (!line.bucket.tryTake(1, nowMs)) {
      line.suppressed += 1;
      return;
    }
    const { suppressed } = line;
    line.suppressed = 0;
    this.#options.log("warn", event, suppressed === 0 ? fields : { ...fields, suppressed });
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }
}

function isoTime(ms: number | null): string {
  return ms === null ? "an operator lifts it" : new Date(ms).toISOString();
}
