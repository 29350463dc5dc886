import { digestOf } from "../crypto/hash.ts";
import { assert } from "../lib/assert.ts";
import type { ClientId } from "./command.ts";

/** Clients that are forgotten together. */
export const RETIRED_BLOCK_CLIENTS = 4_096;

/** About 262,000 retired clients in all, some 30 MB. */
const RETIRED_BLOCKS_MAX = 64;

interface Block {
  readonly clients: ClientId[];
  digest: Uint8Array | null;
}

/**
 * The clients whose sessions were dropped last: what they still send is refused, since nobody knows any more what was
 * applied. The oldest are forgotten a block at a time, so that a digest costs the newest block and not all.
 */
export class RetiredClients {
  readonly #known = new Set<ClientId>();
  readonly #blocks: Block[] = [];
  readonly #blocksMax: number;
  readonly #blockClients: number;

  /** @param limits less than usual, for tests */
  constructor(limits: { readonly blocksMax?: number; readonly blockClients?: number } = {}) {
    this.#blocksMax = limits.blocksMax ?? RETIRED_BLOCKS_MAX;
    this.#blockClients = limits.blockClients ?? RETIRED_BLOCK_CLIENTS;
  }

  has(client: ClientId): boolean {
    return this.#known.has(client);
  }

  add(client: ClientId): void {
    assert(!this.#known.has(client), "a client is retired once");
    let last = this.#blocks.at(-1);
    if (last === undefined || last.clients.length >= this.#blockClients) {
      last = { clients: [], digest: null };
      this.#blocks.push(last);
    }
    last.clients.push(client);
    last.digest = null;
    this.#known.add(client);
    if (this.#blocks.length <= this.#blocksMax) return;
    for (const forgotten of this.#blocks.shift()?.clients ?? []) this.#known.delete(forgotten);
  }

  /** In the order in which they were retired; every block but the last is full. */
  blocks(): readonly (readonly ClientId[])[] {
    return this.#blocks.map(({ clients }) => [...clients]);
  }

  digest(): Uint8Array {
    return digestOf("retired-clients", ...this.#blocks.map(digestOfBlock));
  }
}

function digestOfBlock(block: Block): Uint8Array {
  block.digest ??= digestOf("retired-clients", Uint8Array.fromHex(block.clients.join("")));
  return block.digest;
}
