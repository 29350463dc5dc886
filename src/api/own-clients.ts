import { NodeError } from "../node/service.ts";
import type { ClientId } from "../replication/command.ts";

/** Who is free is kept up to here: as many writes at a time are many. */
const FREE_MAX = 1_000;

const CLIENT_BYTES = 16;

/** A name that a command goes by. */
export interface CommandName {
  readonly client: ClientId;
  readonly number: number;
}

/**
 * Clients that this node plays for those who name none. Each has one command under way at a time, so that its numbers are
 * ordered as they were given out; and each is used again, because the network remembers a bounded number of clients.
 */
export class OwnClients {
  /** Used last first: few are in use. */
  readonly #free: CommandName[] = [];

  /** The client is used again only where its command has an outcome: else the caller may ask what became of it. */
  async run<T>(work: (name: CommandName) => Promise<T>): Promise<T> {
    const used = this.#free.pop();
    if (used === undefined) return await this.#runAs(freshName(), work);
    try {
      return await this.#runAs(used, work);
    } catch (error) {
      // The network has retired the client: the number was never sent before, so nothing has happened.
      if (error instanceof NodeError && error.code === "number-forgotten") return await this.#runAs(freshName(), work);
      throw error;
    }
  }

  async #runAs<T>(name: CommandName, work: (name: CommandName) => Promise<T>): Promise<T> {
    const result = await work(name);
    if (this.#free.length < FREE_MAX) this.#free.push({ client: name.client, number: name.number + 1 });
    return result;
  }
}

function freshName(): CommandName {
  return { client: crypto.getRandomValues(new Uint8Array(CLIENT_BYTES)).toHex() as ClientId, number: 1 };
}
