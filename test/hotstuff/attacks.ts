import type { Effect, Engine, EngineEvent } from "../../src/consensus/engine.ts";
import { type LeaderChoice, type Leaders, leadersOf } from "../../src/consensus/hotstuff/leaders.ts";
import type {
  Absence,
  Block,
  HotStuffMessage,
  Proposal,
  Qc,
  Timeout,
  Vote,
} from "../../src/consensus/hotstuff/messages.ts";
import { blockHash } from "../../src/consensus/hotstuff/statements.ts";
import { type Batch, batchDigest, NULL_BATCH } from "../../src/dag/batch.ts";
import { hashOf } from "../../src/crypto/hash.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../src/membership/ids.ts";
import type { Proof, Signed } from "../../src/membership/seal.ts";
import type { ValidatorSet } from "../../src/membership/validator-set.ts";
import type { Random } from "../../src/sim/random.ts";

export const ATTACKS = [
  "equivocate",
  "silent-leader",
  "partial-leader",
  "stale-leader",
  "vote-for-everything",
  "withhold-votes",
  "false-high",
  "false-commits",
  "strip-commits",
  "thin-certificate",
  "false-record",
  "usurp",
  "wrong-state",
  "false-status",
] as const;

export type AttackName = (typeof ATTACKS)[number];

type Out = readonly Effect<HotStuffMessage>[];

/** Attackers that answer each other go on for ever; they stop after this many lies each. */
const LIES_MAX = 2_000;

/** Certificates and blocks that a liar remembers, so that it may build on old ones. */
const REMEMBERED_MAX = 64;

/** A liar with a correct engine inside: it bends what that engine says, and adds what only a liar says. */
export class LyingEngine implements Engine<HotStuffMessage> {
  readonly name = "hotstuff";
  readonly dag = null;
  readonly wire: Engine<HotStuffMessage>["wire"];
  readonly #inner: Engine<HotStuffMessage>;
  readonly #names: readonly AttackName[];
  readonly #random: Random;
  readonly #set: ValidatorSet;
  readonly #self: ValidatorIndex;
  readonly #leaders: Leaders;
  readonly #qcs: Qc[] = [];
  readonly #proposals = new Map<Hash, Proposal>();
  #lies = 0;

  constructor(
    inner: Engine<HotStuffMessage>,
    names: readonly AttackName[],
    options: {
      readonly random: Random;
      readonly set: ValidatorSet;
      readonly self: ValidatorIndex;
      /** As the network has it. Default: round-robin. */
      readonly leaders?: LeaderChoice;
    },
  ) {
    this.#inner = inner;
    this.#names = names;
    this.#random = options.random;
    this.#set = options.set;
    this.#self = options.self;
    this.#leaders = leadersOf(options.leaders ?? "round-robin");
    this.wire = inner.wire;
  }

  screen(...args: Parameters<Engine<HotStuffMessage>["screen"]>): ReturnType<Engine<HotStuffMessage>["screen"]> {
    return this.#inner.screen(...args);
  }

  status(): ReturnType<Engine<HotStuffMessage>["status"]> {
    return this.#inner.status();
  }

  batchOf(digest: Hash): Batch | undefined {
    return this.#inner.batchOf(digest);
  }

  step(event: EngineEvent<HotStuffMessage>): Out {
    const extra =
      event.kind === "message" ? [...this.#onMessage(event.signed.message), ...this.#onSigned(event.signed)] : [];
    return [...this.#inner.step(event).flatMap((effect) => this.#bend(effect)), ...extra];
  }

  #does(name: AttackName): boolean {
    return this.#names.includes(name) && this.#lies < LIES_MAX;
  }

  #onMessage(message: HotStuffMessage): Out {
    if (message.kind === "certificates" && message.qc !== null) this.#remember(message.qc);
    if (message.kind !== "proposal") return [];
    if (message.qc !== null) this.#remember(message.qc);
    const hash = blockHash(message.block);
    if (this.#proposals.has(hash)) return [];
    this.#proposals.set(hash, message);
    if (this.#proposals.size > REMEMBERED_MAX) this.#proposals.delete([...this.#proposals.keys()][0] ?? hash);
    return this.#does("vote-for-everything") ? this.#voteFor(message.block, hash) : [];
  }

  #onSigned({ message, proof }: Signed<HotStuffMessage>): Out {
    if (message.kind === "vote" && this.#does("thin-certificate")) return this.#thinQc(message, proof);
    if (message.kind === "timeout" && this.#does("thin-certificate")) return this.#thinTc(message, proof);
    const isOwn = proof.seal.signer === this.#self;
    if (message.kind === "proposal" && !isOwn && this.#does("usurp")) return this.#usurp(message);
    return [];
  }

  /** One vote, as often as a quorum has votes or alone, for a certificate. */
  #thinQc({ view, block }: Vote, proof: Proof): Out {
    this.#lies += 1;
    const votes = this.#repeated(proof);
    return this.#toSome({ kind: "certificates", qc: { view, block, votes, commits: [] }, tc: null });
  }

  #thinTc({ view, high }: Timeout, proof: Proof): Out {
    this.#lies += 1;
    const timeouts = this.#repeated(proof).map((each) => ({ high, proof: each }));
    return this.#toSome({ kind: "certificates", qc: null, tc: { view, timeouts } });
  }

  #repeated(proof: Proof): readonly Proof[] {
    const times = this.#random.pick([1, this.#set.quorum - 1, this.#set.quorum]);
    return Array.from({ length: times }, () => proof);
  }

  #toSome(message: HotStuffMessage): Out {
    const others = this.#set.indices().filter((index) => index !== this.#self);
    const some = this.#random.shuffled(others).slice(0, this.#random.between(1, others.length));
    return some.map((to) => ({ kind: "send", to, message }));
  }

  /** A block of its own beside the leader's, as if it were its turn, with the certificates that the leader showed. */
  #usurp(message: Proposal): Out {
    this.#lies += 1;
    const other = otherBlock(message, this.#random);
    const parent = this.#proposals.get(message.block.justify.block)?.block;
    if (parent === undefined || this.#random.chance(0.3)) return this.#toSome(other);
    return this.#toSome({ ...other, block: { ...other.block, absences: this.#absences(parent, other.block.view) } });
  }

  #absences(parent: Block, view: View): readonly Absence[] {
    return this.#leaders.absencesOf(this.#set, parent, { view, author: this.#self });
  }

  /** With every commit that the vote could stand for. */
  #voteFor(block: Block, hash: Hash): Out {
    this.#lies += 1;
    const next = this.#set.leaderOf((block.view + 1) as View);
    const messages: HotStuffMessage[] = [{ kind: "vote", view: block.view, block: hash }];
    let at: Block | undefined = block;
    for (let depth = 0; at !== undefined && depth < 8; depth++) {
      const { sequence, digest } = at;
      messages.unshift({ kind: "commit", view: block.view, sequence, digest });
      at = this.#proposals.get(at.justify.block)?.block;
    }
    const all = this.#random.chance(0.5);
    return messages.map((message): Effect<HotStuffMessage> => {
      return all ? { kind: "broadcast", message } : { kind: "send", to: next, message };
    });
  }

  #remember(qc: Qc): void {
    if (this.#qcs.some(({ block }) => block === qc.block)) return;
    this.#qcs.push(qc);
    if (this.#qcs.length > REMEMBERED_MAX) this.#qcs.shift();
  }

  #bend(effect: Effect<HotStuffMessage>): Out {
    if (effect.kind === "status" && this.#does("false-status")) {
      this.#lies += 1;
      const far = { ...effect.status, executed: (effect.status.executed + this.#random.below(40)) as Sequence };
      return [{ ...effect, status: far }];
    }
    if (effect.kind !== "broadcast" && effect.kind !== "send") return [effect];
    const { message } = effect;
    switch (message.kind) {
      case "proposal":
        return effect.kind === "broadcast" ? this.#propose(message) : [effect];
      case "vote":
        return this.#does("withhold-votes") && this.#random.chance(0.7) ? [] : [effect];
      case "timeout":
        return this.#does("false-high")
          ? [{ ...effect, message: { ...message, high: this.#falseHigh(message) } }]
          : [effect];
      case "commit": {
        if (!this.#does("false-commits") || this.#random.chance(0.5)) return [effect];
        this.#lies += 1;
        return [
          { ...effect, message: { ...message, digest: hashOf("content", new Uint8Array([this.#random.below(256)])) } },
        ];
      }
      case "checkpoint":
        if (!this.#does("wrong-state")) return [effect];
        return [{ ...effect, message: { ...message, stateDigest: hashOf("content", new Uint8Array([7])) } }];
      default:
        return [effect];
    }
  }

  #falseHigh(message: Extract<HotStuffMessage, { kind: "timeout" }>): (typeof message)["high"] {
    this.#lies += 1;
    const [old] = this.#qcs;
    if (old !== undefined && this.#random.chance(0.5)) return { view: old.view, block: old.block };
    return { view: (message.view - 1) as View, block: hashOf("content", new Uint8Array([this.#random.below(256)])) };
  }

  #propose(honest: Proposal): Out {
    const others = this.#set.indices().filter((index) => index !== this.#self);
    const to = (message: Proposal, receivers: readonly ValidatorIndex[]): Out =>
      receivers.map((receiver) => ({ kind: "send", to: receiver, message }));
    this.#lies += 1;
    if (this.#does("silent-leader") && this.#random.chance(0.5)) return [];
    let message = honest;
    if (this.#does("stale-leader") && this.#random.chance(0.7)) message = this.#onOldCertificate(honest) ?? honest;
    if (this.#does("strip-commits") && this.#random.chance(0.5) && message.qc !== null) {
      message = { ...message, qc: { ...message.qc, commits: message.qc.commits.slice(1) } };
    }
    if (this.#does("false-record") && this.#random.chance(0.5)) message = this.#withFalseRecord(message);
    if (this.#does("equivocate")) {
      const other = otherBlock(message, this.#random);
      const ownVote: Out = this.#does("thin-certificate")
        ? [message, other].map(({ block }) => {
            const vote: Vote = { kind: "vote", view: block.view, block: blockHash(block) };
            return { kind: "send", to: this.#self, message: vote };
          })
        : [];
      const mine = this.#random.shuffled(others);
      const cut = this.#random.between(0, mine.length);
      const both = this.#random.chance(0.3) ? mine.slice(0, 1) : [];
      const shown = [...to(message, [this.#self, ...mine.slice(0, cut)]), ...to(other, [...mine.slice(cut), ...both])];
      return [...shown, ...ownVote];
    }
    if (this.#does("partial-leader")) {
      return to(message, [this.#self, ...this.#random.shuffled(others).slice(0, this.#random.below(others.length))]);
    }
    return message === honest ? [{ kind: "broadcast", message }] : to(message, [this.#self, ...others]);
  }

  /** Nobody failed, or everybody but itself did. */
  #withFalseRecord(message: Proposal): Proposal {
    const until = (message.block.view + 1_000) as View;
    const others = this.#set.indices().filter((index) => index !== this.#self);
    const slander = others.map((validator): Absence => ({ validator, failures: 5, until }));
    return { ...message, block: { ...message.block, absences: this.#random.pick([[], slander, slander.slice(0, 1)]) } };
  }

  #onOldCertificate(honest: Proposal): Proposal | null {
    const usable = this.#qcs.filter(({ block }) => this.#proposals.has(block));
    if (usable.length === 0) return null;
    const qc = this.#random.pick(usable.slice(-4));
    const parent = this.#proposals.get(qc.block);
    if (parent === undefined || qc.view >= honest.block.view) return null;
    const content = honest.batch.bundles.length > 0 ? 1 : 0;
    const justify = { view: qc.view, block: qc.block };
    const absences = this.#absences(parent.block, honest.block.view);
    const block = { ...honest.block, justify, sequence: (parent.block.sequence + content) as Sequence, absences };
    return { ...honest, block, qc };
  }
}

/** Another block of the same view, as valid as the first. */
function otherBlock(message: Proposal, random: Random): Proposal {
  const { batch, block } = message;
  const content = batch.bundles.length > 0;
  const other: Batch = content
    ? random.chance(0.3)
      ? NULL_BATCH
      : { ...batch, timestampMs: batch.timestampMs + 1 }
    : { timestampMs: 1, bundles: [] };
  const sequence = (content && other.bundles.length === 0 ? block.sequence - 1 : block.sequence) as Sequence;
  return { ...message, batch: other, block: { ...block, sequence, digest: batchDigest(other) } };
}
