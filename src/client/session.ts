import { CretoError } from "./creto-error.ts";
import { abortable, type Patience } from "./patience.ts";
import { randomHex } from "./random.ts";

/** Nodes remember the outcomes of a client's last 64 numbers: one further below the highest is refused for ever. */
export const SESSION_WINDOW = 64;

/** Commands that may wait for a number; more means that nobody heeds how fast the network is. */
const WAITING_MAX = 10_000;

const CLIENT_BYTES = 16;

/** Which command it is, at every node and for ever. */
export interface CommandId {
  /** 32 lower-case hexadecimal digits. */
  readonly client: string;
  /** From 1. */
  readonly number: number;
}

export interface SessionOptions {
  /** 32 lower-case hexadecimal digits, of this process alone; random unless given. */
  readonly client?: string;
  /** The first number to give to a command; 1 unless given. */
  readonly nextNumber?: number;
  /**
   * Called, one call at a time, before a command of this number is sent: what is kept here can be sent again after a
   * crash, under the same number, and is applied once. The command waits for a promise.
   */
  readonly onNumber?: (id: CommandId) => void | Promise<void>;
}

/** Gives every command its number, and no more of them at a time than nodes remember. */
export class Session {
  readonly client: string;
  readonly #onNumber: (id: CommandId) => void | Promise<void>;
  readonly #underWay = new Set<number>();
  readonly #waiting = new Set<() => void>();
  #next: number;
  #hooks: Promise<void> = Promise.resolve();

  /** @throws CretoError `invalid-argument` */
  constructor({ client, nextNumber = 1, onNumber = () => undefined }: SessionOptions = {}) {
    this.client = client ?? randomHex(CLIENT_BYTES);
    if (!/^[0-9a-f]{32}$/.test(this.client)) {
      throw new CretoError("invalid-argument", "session.client must be 32 lower-case hexadecimal digits");
    }
    this.#next = checkedNumber(nextNumber);
    this.#onNumber = onNumber;
  }

  get nextNumber(): number {
    return this.#next;
  }

  /**
   * Runs `send` with the next number, or with the one given: a command that is sent again.
   * @throws CretoError `overloaded` where too many wait; `session-hook-failed`; whatever `send` throws
   */
  async run<T>(patience: Patience, send: (id: CommandId) => Promise<T>, given?: number): Promise<T> {
    const number = given === undefined ? await this.#take(patience, 1) : this.#use(checkedNumber(given), 1);
    return await this.#holding(number, 1, async () => await send(await this.#announce(number)));
  }

  /** As `run`, with so many numbers in a row, at most the window. */
  async runMany<T>(patience: Patience, count: number, send: (ids: readonly CommandId[]) => Promise<T>): Promise<T> {
    const first = await this.#take(patience, count);
    return await this.#holding(first, count, async () => {
      const ids: CommandId[] = [];
      for (let number = first; number < first + count; number++) ids.push(await this.#announce(number));
      return await send(ids);
    });
  }

  async #holding<T>(first: number, count: number, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      for (let number = first; number < first + count; number++) this.#underWay.delete(number);
      for (const wake of [...this.#waiting]) wake();
    }
  }

  async #take(patience: Patience, count: number): Promise<number> {
    while (!this.#hasRoom(count)) {
      if (this.#waiting.size >= WAITING_MAX) {
        const what = `${WAITING_MAX} commands of this client wait already`;
        throw new CretoError("overloaded", `${what}: wait for their outcomes before you send more`);
      }
      await abortable(patience.signal, (resolve) => {
        this.#waiting.add(resolve);
        return () => this.#waiting.delete(resolve);
      });
    }
    return this.#use(this.#next, count);
  }

  #use(first: number, count: number): number {
    for (let number = first; number < first + count; number++) this.#underWay.add(number);
    this.#next = Math.max(this.#next, first + count);
    return first;
  }

  #hasRoom(count: number): boolean {
    return this.#underWay.size === 0 || this.#next + count <= Math.min(...this.#underWay) + SESSION_WINDOW;
  }

  async #announce(number: number): Promise<CommandId> {
    const id = { client: this.client, number };
    const turn = this.#hooks.then(async () => await this.#onNumber(id));
    this.#hooks = turn.catch(() => undefined);
    try {
      await turn;
      return id;
    } catch (error) {
      const message = `session.onNumber failed for number ${id.number}: the command was not sent`;
      throw new CretoError("session-hook-failed", message, { cause: error });
    }
  }
}

function checkedNumber(number: number): number {
  if (Number.isSafeInteger(number) && number >= 1) return number;
  throw new CretoError("invalid-argument", `a command's number is a whole number from 1, not ${number}`);
}
