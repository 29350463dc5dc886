import { decode, encode } from "../../codec/codec.ts";
import type { NodeParts } from "../../node/node-parts.ts";
import type { Database, WriteBatchBytes } from "../../node/ports.ts";
import { questionCodec } from "../../node/wire.ts";
import { forEachWrite, WriteBatch } from "../../node/write-batch.ts";
import { executionStateCodec } from "../../replication/executor.ts";

/** Faults of the node around the engine, planted into its ports. */

const EXECUTION_KEY = "execution";

const LOCAL_ORDER_KEY = "dag-order";

/** A database that says "durable" as soon as it has heard of a write. */
export function hastyDatabase(parts: NodeParts): NodeParts {
  return withDatabase(parts, (database) => ({
    write: (batch) => {
      // What becomes of it, nobody learns.
      database.write(batch).catch(() => undefined);
      return Promise.resolve();
    },
  }));
}

/** A loop that waits for the write before the one that it rests on: frames leave while their own fsync is under way. */
export function oneWriteBehind(parts: NodeParts): NodeParts {
  let last: Promise<void> = Promise.resolve();
  return withDatabase(parts, (database) => ({
    write: (batch) => {
      const before = last;
      last = database.write(batch);
      last.catch(() => undefined);
      return before;
    },
  }));
}

/** The state of execution never reaches the disk; what was executed is forgotten with the process. */
export function forgettingExecution(parts: NodeParts): NodeParts {
  return withDatabase(parts, (database) => ({ write: (batch) => database.write(without(batch, EXECUTION_KEY)) }));
}

/** A node that comes back takes the largest time of the order for none. */
export function forgettingTime(parts: NodeParts): NodeParts {
  return withDatabase(parts, (database) => ({
    get: async (column, key) => {
      const row = await database.get(column, key);
      if (row === undefined || textOf(key) !== EXECUTION_KEY) return row;
      return encode(executionStateCodec, { ...decode(executionStateCodec, row), timestampMs: 0 });
    },
  }));
}

/** Up to where this node's own order of a leaderless network goes never reaches the disk. */
export function forgettingOrder(parts: NodeParts): NodeParts {
  return withDatabase(parts, (database) => ({ write: (batch) => database.write(without(batch, LOCAL_ORDER_KEY)) }));
}

/** Nobody looks whether a conflict set was won before this life. */
export function forgettingWinners(parts: NodeParts): NodeParts {
  return withDatabase(parts, (database) => ({
    getMany: async (column, keys) => {
      const rows = await database.getMany(column, keys);
      return column === "spent" ? rows.map(() => undefined) : rows;
    },
  }));
}

/** Every signature holds. */
export function trusting(parts: NodeParts): NodeParts {
  return { ...parts, verifier: { verify: () => Promise.resolve(true) } };
}

/** Committed places that a peer hands over are believed as they are. */
export function trustingAnswers(parts: NodeParts): NodeParts {
  const { transport, verifier, clock } = parts;
  let answeredAtMs: number | null = null;
  return {
    ...parts,
    transport: {
      start: (handler) => transport.start(handler),
      send: (peer, lane, frame) => transport.send(peer, lane, frame),
      request: async (peer, body, options) => {
        const answer = await transport.request(peer, body, options);
        // Its certificates are checked before virtual time goes on.
        if (decode(questionCodec, body).kind === "committed") answeredAtMs = clock.monotonicMs();
        return answer;
      },
      peers: () => transport.peers(),
      disconnect: (peer, reason) => transport.disconnect(peer, reason),
      close: () => transport.close(),
    },
    verifier: {
      verify: (signer, message, signature) =>
        clock.monotonicMs() === answeredAtMs ? Promise.resolve(true) : verifier.verify(signer, message, signature),
    },
  };
}

function withDatabase(parts: NodeParts, wrong: (right: Database) => Partial<Database>): NodeParts {
  const { database } = parts;
  return {
    ...parts,
    database: {
      write: (batch) => database.write(batch),
      get: (column, key) => database.get(column, key),
      getMany: (column, keys) => database.getMany(column, keys),
      scan: (column, range) => database.scan(column, range),
      close: () => database.close(),
      ...wrong(database),
    },
  };
}

function without(batch: WriteBatchBytes, left: string): WriteBatchBytes {
  const kept = new WriteBatch();
  forEachWrite(batch, (column, key, value) => {
    if (textOf(key) === left) return;
    if (value === null) kept.delete(column, key);
    else kept.put(column, key, value);
  });
  return kept.finish();
}

function textOf(key: Uint8Array): string {
  return String.fromCharCode(...key);
}
