import type { CostTable } from "./cost-table.ts";

/** Use of one machine since the counters were last set to zero, in microseconds and bytes. */
export interface Use {
  loopUs: number;
  poolUs: number;
  diskUs: number;
  bytesOut: number;
  bytesIn: number;
}

/**
 * One node's machine in virtual time: an event loop that does one thing after the other, the other cores for the pool of
 * checks, a disk, and a link in each direction. Each is a queue: what comes waits until what came before is done. Times are
 * virtual milliseconds, costs microseconds.
 */
export class Machine {
  readonly use: Use = { loopUs: 0, poolUs: 0, diskUs: 0, bytesOut: 0, bytesIn: 0 };
  readonly #bytesPerMs: number;
  readonly #costs: CostTable;
  /** When each of the cores beside the event loop's is free. */
  readonly #pool: number[];
  #loopMs = 0;
  #diskMs = 0;
  #outMs = 0;
  #inMs = 0;

  constructor(costs: CostTable) {
    this.#costs = costs;
    this.#bytesPerMs = costs.linkMbitPerS * 125;
    this.#pool = Array.from({ length: Math.max(1, Math.floor(costs.coresPerNode) - 1) }, () => 0);
  }

  /** How far the event loop is behind, in milliseconds. */
  backlogMs(nowMs: number): number {
    return Math.max(0, this.#loopMs - nowMs);
  }

  /** Answers when it is done. */
  loop(nowMs: number, us: number): number {
    this.use.loopUs += us;
    this.#loopMs = Math.max(this.#loopMs, nowMs) + us / 1_000;
    return this.#loopMs;
  }

  /** One check on one of the other cores. */
  pool(nowMs: number, us: number): number {
    let first = 0;
    for (let core = 1; core < this.#pool.length; core++) {
      if ((this.#pool[core] ?? 0) < (this.#pool[first] ?? 0)) first = core;
    }
    this.use.poolUs += us;
    const doneMs = Math.max(this.#pool[first] ?? 0, nowMs) + us / 1_000;
    this.#pool[first] = doneMs;
    return doneMs;
  }

  /** A durable write: a wait for the disk, and work for a core that is not the event loop's. */
  write(nowMs: number, rows: number, bytes: number): number {
    const { fsyncUs, fsyncCpuUs, rowWriteUs, writePerKiBUs } = this.#costs;
    const copyUs = rows * rowWriteUs + (bytes / 1_024) * writePerKiBUs;
    this.use.diskUs += fsyncUs + copyUs;
    this.pool(nowMs, fsyncCpuUs + copyUs);
    this.#diskMs = Math.max(this.#diskMs, nowMs) + (fsyncUs + copyUs) / 1_000;
    return this.#diskMs;
  }

  /** Answers when the last byte has left. */
  send(nowMs: number, bytes: number): number {
    this.use.bytesOut += bytes;
    this.#outMs = Math.max(this.#outMs, nowMs) + bytes / this.#bytesPerMs;
    return this.#outMs;
  }

  /** Answers when the last byte is there; while nothing else comes in it does not wait twice for one link. */
  receive(nowMs: number, bytes: number): number {
    this.use.bytesIn += bytes;
    this.#inMs = Math.max(this.#inMs + bytes / this.#bytesPerMs, nowMs);
    return this.#inMs;
  }

  clear(): void {
    Object.assign(this.use, { loopUs: 0, poolUs: 0, diskUs: 0, bytesOut: 0, bytesIn: 0 });
  }
}
