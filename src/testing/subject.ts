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
import { ApplicationCheckFailed } from "./application-flaw.ts";

const HASH_BYTES = 32;

export type Outcome = { readonly kind: "applied" | "rejected"; readonly text: string };

/** What became of each command, and what the state was after it. */
export interface Life {
  readonly outcomes: readonly Outcome[];
  /** One more than outcomes: that of the beginning comes first. */
  readonly hashes: readonly string[];
}

/** One instance, with what is watched around each of its calls. */
export class Subject {
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

function nameOf(command: Uint8Array | undefined, place: number): string {
  const text = new TextDecoder().decode(command?.slice(0, 60));
  return `command ${place + 1} ${JSON.stringify(text)}`;
}

/** Where in its life an application is, in words. */
export function after(place: number): string {
  return place === 0 ? "at the beginning" : `after command ${place}`;
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
