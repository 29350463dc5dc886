import type { NodeId } from "../crypto/identity.ts";
import type { Position, Sequence } from "../membership/ids.ts";
import type { ClientId } from "../replication/command.ts";
import {
  type Application,
  CHUNK_BYTES_MAX,
  type CommandContext,
  CommandRejected,
  RESULT_BYTES_MAX,
} from "../replication/replicated.ts";
import { watched } from "./ambient.ts";

export type ApplicationFlaw =
  /** Something else than CommandRejected came out of `apply`, or anything out of `snapshot`, `restore` or `stateHash`. */
  | "threw"
  /** It asked for a clock, randomness, the network or a timer. */
  | "ambient"
  /** An answer that is no bytes or too many, a hash that is not 32 bytes, a chunk that is too large. */
  | "bad-bytes"
  /** Two instances that had the same commands differ. */
  | "not-deterministic"
  /** A refused command, or a question, changed the state. */
  | "changed-state"
  /** The state changes when the host uses a command's or a chunk's bytes for something else. */
  | "kept-bytes"
  /** Two states have one hash. */
  | "coarse-hash"
  /** A snapshot is read after more commands, and has some of them in it. */
  | "late-snapshot"
  /** A restored application is not what it was. */
  | "bad-restore";

/** What a check found; the message says at which command, and what to do. */
export class ApplicationCheckFailed extends Error {
  override readonly name = "ApplicationCheckFailed";
  readonly code: ApplicationFlaw;

  constructor(code: ApplicationFlaw, message: string, options?: { readonly cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export interface CheckOptions {
  /** Asked at several states; bytes, or texts as UTF-8. */
  readonly questions?: readonly (Uint8Array | string)[];
  /** Also tries what anybody may send: nothing, noise, commands cut short and changed. True unless given. */
  readonly isHostile?: boolean;
}

export interface CheckReport {
  /** Those that were made up too. */
  readonly commands: number;
  readonly applied: number;
  readonly rejected: number;
  /** States at which snapshots were taken and restored. */
  readonly snapshots: number;
}

/** Two for each, at most: a check is for a test, which is to be quick. */
const SNAPSHOTS_MAX = 8;
const HASH_BYTES = 32;
const NOISE: readonly Uint8Array[] = [new Uint8Array(0), Uint8Array.of(0), new Uint8Array(64).fill(255)];

type Outcome = { readonly kind: "applied" | "rejected"; readonly text: string };

/** What became of each command, and what the state was after it. */
interface Life {
  readonly outcomes: readonly Outcome[];
  /** One more than outcomes: that of the beginning comes first. */
  readonly hashes: readonly string[];
}

/**
 * Holds an application against what nodes need of it: the same commands give the same answers, refusals and hashes in every
 * instance; a refusal and a question change nothing; a snapshot is the state as of its call; a restored one goes on like the
 * original; nothing depends on a clock, on randomness, or on bytes that belong to the host. It cannot find what its commands
 * do not reach: give it many, of all kinds.
 * @param newApplication the file's `createApplication`
 * @param commands bytes, or texts as UTF-8; in the order in which they are applied
 * @throws ApplicationCheckFailed for the first flaw
 */
export function checkApplication(
  newApplication: () => Application,
  commands: readonly (Uint8Array | string)[],
  { questions = [], isHostile = true }: CheckOptions = {},
): CheckReport {
  const own = commands.map(bytesOf);
  const all = isHostile ? [...NOISE, ...own.flatMap(withVariants)] : own;
  const asked = [...questions.map(bytesOf), ...(isHostile ? NOISE : [])];
  const first = new Subject(newApplication, all);
  const places = placesIn(all.length);
  const late = new Map<number, Iterable<Uint8Array>>();
  const early = new Map<number, readonly Uint8Array[]>();
  const life = first.live((place) => {
    if (!places.includes(place)) return;
    first.ask(asked, place);
    late.set(place, first.snapshot(place));
  });
  const second = new Subject(newApplication, all);
  same(
    "not-deterministic",
    second.live((place) => {
      if (places.includes(place)) early.set(place, second.chunks(second.snapshot(place), place));
    }),
    life,
    "two instances had the same commands, and differ",
  );
  const careless = new Subject(newApplication, all, true);
  same("kept-bytes", careless.live(), life, "the state depends on a command's own bytes: copy what is kept of them");
  checkHashes(early, life);
  for (const [place, iterable] of late) {
    const chunks = early.get(place) ?? [];
    if (!equal(first.chunks(iterable, place), chunks)) {
      const what = `the snapshot taken ${after(place)} has other chunks when it is read after further commands`;
      throw new ApplicationCheckFailed("late-snapshot", `${what}: copy or freeze the state in snapshot() itself`);
    }
    checkRestore(newApplication, all, { place, chunks, life });
  }
  const rejected = life.outcomes.filter(({ kind }) => kind === "rejected").length;
  return { commands: all.length, applied: all.length - rejected, rejected, snapshots: places.length };
}

/** Into an application to which nothing happened, and into one with a state of its own. */
function checkRestore(
  newApplication: () => Application,
  all: readonly Uint8Array[],
  { place, chunks, life }: { readonly place: number; readonly chunks: readonly Uint8Array[]; readonly life: Life },
): void {
  const used = new Subject(newApplication, all);
  used.live();
  for (const subject of [new Subject(newApplication, all), used]) {
    const copies = chunks.map((chunk) => chunk.slice());
    subject.restore(copies, place);
    for (const copy of copies) copy.fill(255);
    const what = `restored from the snapshot taken ${after(place)}`;
    if (!equal(subject.chunks(subject.snapshot(place), place), chunks))
      throw new ApplicationCheckFailed(
        "bad-restore",
        `${what}, its own snapshot is another one: equal states, equal chunks`,
      );
    const rest = { outcomes: life.outcomes.slice(place), hashes: life.hashes.slice(place) };
    same("bad-restore", subject.live(undefined, place), rest, `${what}, it goes on differently`, place);
  }
}

/** One instance, with what is watched around each of its calls. */
class Subject {
  readonly #application: Application;
  readonly #commands: readonly Uint8Array[];
  readonly #isCareless: boolean;

  /** @param isCareless uses the bytes of each command for something else afterwards, as a host may */
  constructor(newApplication: () => Application, commands: readonly Uint8Array[], isCareless = false) {
    this.#application = this.#guarded("createApplication", newApplication);
    this.#commands = commands;
    this.#isCareless = isCareless;
  }

  /** @param onPlace called before the first command, and after each */
  live(onPlace: (place: number) => void = () => undefined, from = 0): Life {
    const outcomes: Outcome[] = [];
    const hashes = [this.hash(from)];
    onPlace(from);
    for (let place = from; place < this.#commands.length; place++) {
      const outcome = this.#apply(place);
      const [before, hash] = [hashes.at(-1), this.hash(place + 1)];
      if (outcome.kind === "rejected" && hash !== before) {
        const what = `${nameOf(this.#commands[place], place)} was refused, and the state's hash changed`;
        throw new ApplicationCheckFailed("changed-state", `${what}: check everything before you change anything`);
      }
      outcomes.push(outcome);
      hashes.push(hash);
      onPlace(place + 1);
    }
    return { outcomes, hashes };
  }

  hash(place: number): string {
    const hash: unknown = this.#guarded(`stateHash ${after(place)}`, () => this.#application.stateHash());
    if (hash instanceof Uint8Array && hash.length === HASH_BYTES) return hexOf(hash);
    throw new ApplicationCheckFailed("bad-bytes", `stateHash ${after(place)} is not ${HASH_BYTES} bytes`);
  }

  ask(questions: readonly Uint8Array[], place: number): void {
    const before = this.hash(place);
    for (const question of questions) {
      const ask = (): unknown => {
        try {
          return this.#application.query(question.slice());
        } catch {
          // Whatever it throws is a refusal to who asked.
          return new Uint8Array(0);
        }
      };
      const answer = this.#guarded(`query ${after(place)}`, ask);
      if (!(answer instanceof Uint8Array))
        throw new ApplicationCheckFailed("bad-bytes", `query ${after(place)} answers with no bytes`);
      if (this.hash(place) !== before)
        throw new ApplicationCheckFailed("changed-state", `query ${after(place)} changed the state: it may only read`);
    }
  }

  snapshot(place: number): Iterable<Uint8Array> {
    return this.#guarded(`snapshot ${after(place)}`, () => this.#application.snapshot());
  }

  chunks(snapshot: Iterable<Uint8Array>, place: number): readonly Uint8Array[] {
    const where = `snapshot ${after(place)}`;
    const chunks: readonly unknown[] = this.#guarded(where, () => [...snapshot]);
    return chunks.map((chunk) => {
      if (chunk instanceof Uint8Array && chunk.length <= CHUNK_BYTES_MAX) return chunk.slice();
      throw new ApplicationCheckFailed("bad-bytes", `${where}: a chunk is not up to ${CHUNK_BYTES_MAX} bytes`);
    });
  }

  restore(chunks: readonly Uint8Array[], place: number): void {
    this.#guarded(`restore of what was ${after(place)}`, () => this.#application.restore(chunks));
  }

  #apply(place: number): Outcome {
    const command = (this.#commands[place] ?? new Uint8Array(0)).slice();
    const name = nameOf(this.#commands[place], place);
    const outcome = this.#guarded(`apply of ${name}`, (): Outcome => {
      try {
        const answer: unknown = this.#application.apply(command, contextOf(place));
        if (answer instanceof Uint8Array && answer.length <= RESULT_BYTES_MAX)
          return { kind: "applied", text: hexOf(answer) };
      } catch (error) {
        if (!(error instanceof CommandRejected)) throw error;
        return { kind: "rejected", text: `${error.message} ${hexOf(error.detail)}` };
      }
      const what = `apply of ${name} answers with something else than up to ${RESULT_BYTES_MAX} bytes`;
      throw new ApplicationCheckFailed("bad-bytes", `${what}: it is synchronous, and answers with a Uint8Array`);
    });
    if (this.#isCareless) command.fill(255);
    return outcome;
  }

  #guarded<T>(what: string, call: () => T): T {
    let result: ReturnType<typeof watched<T>>;
    try {
      result = watched(call);
    } catch (cause) {
      if (cause instanceof ApplicationCheckFailed) throw cause;
      const hint = "a command is refused by CommandRejected, and nothing else may fail: it would end the node";
      throw new ApplicationCheckFailed("threw", `${what} threw ${String(cause)}; ${hint}`, { cause });
    }
    const [asked] = result.asked;
    if (asked === undefined) return result.value;
    const hint = "take the time and the seed of the command's context, which are equal at all nodes";
    throw new ApplicationCheckFailed("ambient", `${what} asked for ${asked}: ${hint}`);
  }
}

function checkHashes(states: ReadonlyMap<number, readonly Uint8Array[]>, { hashes }: Life): void {
  const known = new Map<string, readonly Uint8Array[]>();
  for (const [place, chunks] of states) {
    const hash = hashes[place] ?? "";
    const other = known.get(hash);
    if (other !== undefined && !equal(other, chunks)) {
      const what = `the state ${after(place)} has other chunks than an earlier one, and the same stateHash`;
      throw new ApplicationCheckFailed("coarse-hash", `${what}: the hash must cover the whole state`);
    }
    known.set(hash, chunks);
  }
}

function same(code: ApplicationFlaw, seen: Life, wanted: Life, what: string, from = 0): void {
  for (const [index, outcome] of wanted.outcomes.entries()) {
    const other = seen.outcomes[index];
    if (other?.kind === outcome.kind && other.text === outcome.text) continue;
    throw new ApplicationCheckFailed(code, `${what}: command ${from + index + 1} has another outcome`);
  }
  const at = wanted.hashes.findIndex((hash, index) => seen.hashes[index] !== hash);
  if (at >= 0) throw new ApplicationCheckFailed(code, `${what}: the stateHash differs ${after(from + at)}`);
}

/** Batches of three, of four validators and three clients; a function of the place alone. */
function contextOf(place: number): CommandContext {
  const sequence = 1 + Math.floor(place / 3);
  return {
    position: (place + 1) as Position,
    sequence: sequence as Sequence,
    timestampMs: 1_800_000_000_000 + 50 * sequence,
    creator: String(place % 4).repeat(64) as NodeId,
    client: String(place % 3).repeat(32) as ClientId,
    number: 1 + Math.floor(place / 3),
    seed: Uint8Array.from({ length: 32 }, (_, index) => (place * 31 + index * 17) & 255),
  };
}

/** The beginning and the end, and places between. */
function placesIn(length: number): readonly number[] {
  const steps = Math.min(length, SNAPSHOTS_MAX - 1);
  return [...new Set(Array.from({ length: steps + 1 }, (_, step) => Math.round((length * step) / Math.max(1, steps))))];
}

function withVariants(command: Uint8Array): readonly Uint8Array[] {
  const changed = command.slice();
  const last = changed.length - 1;
  changed[last] = (changed[last] ?? 0) ^ 1;
  return [command, command.slice(0, command.length / 2), changed];
}

function nameOf(command: Uint8Array | undefined, place: number): string {
  const text = new TextDecoder().decode(command?.slice(0, 60));
  return `command ${place + 1} ${JSON.stringify(text)}`;
}

function after(place: number): string {
  return place === 0 ? "at the beginning" : `after command ${place}`;
}

function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === "string" ? new TextEncoder().encode(value) : value;
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function equal(left: readonly Uint8Array[], right: readonly Uint8Array[]): boolean {
  return (
    left.length === right.length && left.every((chunk, at) => hexOf(chunk) === hexOf(right[at] ?? new Uint8Array(0)))
  );
}
