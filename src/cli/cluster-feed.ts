import { CommandFailed, EXIT } from "./exit-codes.ts";
import { Latencies } from "./latencies.ts";
import { linesOfStream } from "./lines.ts";
import type { NodeProcess } from "./node-process.ts";
import { type Batch, batchesOf, submitAll, submitBatch } from "./submit.ts";

/** Transactions of one request. */
const BATCH_COUNT = 500;

/** Requests under way at a time, for each node: the input is read no faster than that. */
const BATCHES_AT_ONCE = 2;

/** Submits transactions to the nodes of a cluster in turn, each waited for until it is final. */
export class ClusterFeed {
  readonly #nodes: readonly NodeProcess[];
  readonly #payloadBytesMax: number;
  #turn = 0;
  #finalized = 0;

  constructor(nodes: readonly NodeProcess[], payloadBytesMax: number) {
    this.#nodes = nodes;
    this.#payloadBytesMax = payloadBytesMax;
  }

  /** Transactions that were submitted here and are final. */
  get finalized(): number {
    return this.#finalized;
  }

  /** @returns how many were submitted and are final, and how long that took */
  async submitLines(
    stream: AsyncIterable<Uint8Array>,
  ): Promise<{ readonly count: number; readonly latencies: Latencies }> {
    const latencies = new Latencies();
    let count = 0;
    await submitAll(batchesOf(linesOfStream(stream, this.#payloadBytesMax), BATCH_COUNT), {
      atOnce: BATCHES_AT_ONCE * this.#nodes.length,
      submit: async (batch) => {
        await this.#submit(batch, latencies);
        count += batch.length;
      },
    });
    return { count, latencies };
  }

  /**
   * The next node's turn. A node that ends with a batch in its hands may have accepted it, and then finalizes it when it is
   * back; the batch goes to another node all the same, so some of it may stand in the ledger twice.
   */
  async #submit(batch: Batch, latencies: Latencies): Promise<void> {
    for (;;) {
      const alive = this.#nodes.filter((node) => node.isAlive);
      const node = alive[this.#turn++ % Math.max(1, alive.length)];
      if (node === undefined) throw new CommandFailed("every node has ended");
      try {
        const receipts = await submitBatch(node.apiUrl, batch, { wait: true });
        for (const { finalityMs } of receipts) if (finalityMs !== null) latencies.add(finalityMs);
        this.#finalized += receipts.length;
        return;
      } catch (error) {
        if (!(error instanceof CommandFailed) || error.exitCode !== EXIT.unreachable) throw error;
        await node.whenGoneOrAnswering();
      }
    }
  }
}
