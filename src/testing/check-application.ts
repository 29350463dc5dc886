import type { Application } from "../replication/replicated.ts";
import { ApplicationCheckFailed, type ApplicationFlaw } from "./application-flaw.ts";
import { after, hexOf, type Life, Subject } from "./subject.ts";

// biome-ignore lint/performance/noBarrelFile: the package's door
export { ApplicationCheckFailed, type ApplicationFlaw } from "./application-flaw.ts";

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

/** States from which it is restored, at most: a check is for a test, which is to be quick. */
const SNAPSHOTS_MAX = 8;
const NOISE: readonly Uint8Array[] = [new Uint8Array(0), Uint8Array.of(0), new Uint8Array(64).fill(255)];

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

function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === "string" ? new TextEncoder().encode(value) : value;
}

function equal(left: readonly Uint8Array[], right: readonly Uint8Array[]): boolean {
  return (
    left.length === right.length && left.every((chunk, at) => hexOf(chunk) === hexOf(right[at] ?? new Uint8Array(0)))
  );
}
