import { nodeIdOf } from "../../src/crypto/identity.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../src/crypto/signature.ts";
import { ZERO_HASH } from "../../src/lib/hash.ts";
import { MessageAssembler, OversizeMessage } from "../../src/network/message-assembler.ts";
import {
  Handshake,
  type HandshakeEffect,
  type HandshakeEvent,
  HANDSHAKE_MESSAGE_BYTES_MAX,
  type Role,
} from "../../src/peering/handshake.ts";
import { Random } from "./random.ts";
import type { Field } from "./mutator.ts";
import { bucket, promise, type Target } from "./target.ts";

const ASSEMBLED_BYTES_MAX = 4_096;

/**
 * An input is four bytes that decide where the stream is cut, and the stream. Whatever the cuts, the messages are those of
 * the uncut stream, and no more is buffered than arrived.
 */
export const ASSEMBLER_TARGET: Target = {
  name: "assembler",
  sizeMax: 32 * 1024,
  run: (input) => {
    const random = new Random(cutsOf(input));
    const stream = input.subarray(4);
    const whole = assembled([stream]);
    const cut = assembled(chunksOf(random, stream, random.pick([1, 3, 5, 100, 5_000])));
    promise(whole.refused === cut.refused, "whether a length is refused depends on the cuts");
    // A push that refuses keeps what it completed before to itself: the connection ends with it.
    const isPrefix = whole.refused || whole.messages.length === cut.messages.length;
    promise(isPrefix, "the number of messages depends on the cuts");
    for (const [index, message] of whole.messages.entries()) {
      promise(Buffer.compare(message, cut.messages[index] ?? stream) === 0, "a message depends on the cuts");
    }
    return `${bucket(whole.messages.length)} messages, ${whole.refused ? "refused" : `${bucket(whole.buffered)} left`}`;
  },
  fields: (input) => framedFields(input, 4),
};

interface Assembled {
  readonly messages: readonly Uint8Array[];
  readonly refused: boolean;
  readonly buffered: number;
}

function assembled(chunks: readonly Uint8Array[]): Assembled {
  const assembler = new MessageAssembler(ASSEMBLED_BYTES_MAX);
  const messages: Uint8Array[] = [];
  let arrived = 0;
  for (const chunk of chunks) {
    arrived += chunk.length;
    try {
      messages.push(...assembler.push(chunk));
    } catch (error) {
      if (!(error instanceof OversizeMessage)) throw error;
      return { messages, refused: true, buffered: 0 };
    }
    promise(assembler.buffered <= Math.min(arrived, ASSEMBLED_BYTES_MAX + 4), "more is buffered than one message");
  }
  return { messages, refused: false, buffered: assembler.buffered };
}

function chunksOf(random: Random, stream: Uint8Array, sizeMax: number): readonly Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < stream.length; ) {
    const size = random.between(0, sizeMax);
    chunks.push(stream.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const KEYS = { mlDsa: new Uint8Array(2592).fill(1), ed25519: new Uint8Array(32).fill(2) };
const STEPS_MAX = 64;

/** Events of the driver that a script may place between messages. */
const OPS = { bound: 0xffff_ffff, signed: 0xffff_fffe, holds: 0xffff_fffd, fails: 0xffff_fffc } as const;

export function machineOf(role: Role): Handshake {
  return new Handshake({
    role,
    nodeId: nodeIdOf(KEYS),
    publicKeys: KEYS,
    genesis: ZERO_HASH,
    hybrid: true,
    nonce: new Uint8Array(32).fill(3),
    incarnation: 258,
    expected: null,
    refuse: () => null,
  });
}

/**
 * An input is a script: a u32 before each message, or one of `OPS` for what the driver does.
 * The driver signs and verifies only when it was told to; a signature holds only where the script says so.
 */
function handshakeTarget(role: Role): Target {
  return {
    name: `handshake-${role}`,
    sizeMax: 32 * 1024,
    run: (input) => {
      const machine = machineOf(role);
      const play = new Play(machine.start());
      for (const { op, message } of scriptOf(input)) {
        const event = message === null ? play.eventOf(op) : ({ kind: "message", bytes: message } as const);
        if (event !== null) play.take(machine.step(event), event);
      }
      return play.outcome;
    },
    fields: (input) => framedFields(input, 0),
  };
}

/** One machine's run, with what must hold of every run. */
class Play {
  outcome = "";
  #owed: "sign" | "verify" | null = null;
  #proved = false;
  #over = false;

  constructor(effects: readonly HandshakeEffect[]) {
    for (const effect of effects) this.#note(effect);
  }

  /** The event of an op; null where no driver would bring it now. */
  eventOf(op: number): HandshakeEvent | null {
    if (op === OPS.bound) return { kind: "bound", binding: new Uint8Array(32).fill(4) };
    if (op === OPS.signed && this.#owed === "sign") {
      return {
        kind: "signed",
        signature: { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: new Uint8Array(64) },
      };
    }
    if ((op === OPS.holds || op === OPS.fails) && this.#owed === "verify")
      return { kind: "verified", holds: op === OPS.holds };
    return null;
  }

  take(effects: readonly HandshakeEffect[], event: HandshakeEvent): void {
    promise(effects.length <= 3, `${effects.length} effects of one event`);
    promise(!this.#over || effects.length === 0, "a machine that is done still acts");
    if (event.kind === "verified") this.#proved ||= event.holds;
    if (event.kind === "verified" || event.kind === "signed") this.#owed = null;
    for (const effect of effects) this.#note(effect);
  }

  #note(effect: HandshakeEffect): void {
    this.outcome += ` ${effect.kind}${effect.kind === "failed" ? effect.code + effect.by : ""}`;
    promise(this.outcome.length < 400, "a machine goes on and on");
    if (effect.kind === "sign" || effect.kind === "verify") this.#owed = effect.kind;
    if (effect.kind === "send")
      promise(effect.bytes.length <= HANDSHAKE_MESSAGE_BYTES_MAX, "an oversize message is sent");
    if (effect.kind === "established") promise(this.#proved, "established without a signature that holds");
    if (effect.kind === "established" || effect.kind === "failed") this.#over = true;
  }
}

interface ScriptStep {
  readonly op: number;
  readonly message: Uint8Array | null;
}

function scriptOf(input: Uint8Array): readonly ScriptStep[] {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const steps: ScriptStep[] = [];
  for (let at = 0; at + 4 <= input.length && steps.length < STEPS_MAX; ) {
    const op = view.getUint32(at, true);
    at += 4;
    const isOp = op >= OPS.fails;
    steps.push({ op, message: isOp ? null : input.subarray(at, at + op) });
    if (!isOp) at += op;
  }
  return steps;
}

/** Script bytes: for the seeds. */
export function scriptBytes(steps: readonly (keyof typeof OPS | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    steps.flatMap((step) => {
      const head = new Uint8Array(4);
      new DataView(head.buffer).setUint32(0, typeof step === "string" ? OPS[step] : step.length, true);
      return typeof step === "string" ? [head] : [head, step];
    }),
  );
}

/** The lengths in front of messages, and some places inside each message. */
function framedFields(input: Uint8Array, from: number): readonly Field[] {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const fields: Field[] = [];
  for (let at = from; at + 4 <= input.length && fields.length < 400; ) {
    const size = view.getUint32(at, true);
    fields.push({ offset: at, size: 4 }, { offset: at + 4, size: 4 });
    at += 4;
    if (size >= OPS.fails) continue;
    for (const inner of [4, 6, 38, 2630, 4631]) if (inner < size) fields.push({ offset: at + inner, size: 1 });
    at += size;
  }
  return fields.filter(({ offset, size }) => offset + size <= input.length);
}

export const HANDSHAKE_TARGETS: readonly Target[] = [handshakeTarget("dialer"), handshakeTarget("listener")];

function cutsOf(input: Uint8Array): number {
  return input.subarray(0, 4).reduce((sum, byte) => sum * 256 + byte, 0);
}
