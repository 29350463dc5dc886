/** What a node's elementary operations cost. Times in microseconds of one core, unless a field says otherwise. */
export interface CostTable {
  /** One hybrid signature (ML-DSA-87 and Ed25519), on the event loop. */
  readonly signUs: number;
  /** Checking one hybrid signature: all threads together. */
  readonly verifyUs: number;
  /** The part of `verifyUs` that the event loop pays for handing the check to the pool and back. */
  readonly verifyLoopUs: number;
  /** One digest over a few hashes, with the conversion of its result. */
  readonly hashFixedUs: number;
  /** And for each KiB of content on top. */
  readonly hashPerKiBUs: number;
  /** One frame through the codec, one way, without its content. */
  readonly encodeFixedUs: number;
  readonly encodePerKiBUs: number;
  readonly decodePerKiBUs: number;
  /** Encoding one row and packing it into a turn's batch, on the event loop. */
  readonly rowUs: number;
  /** The database's work for one small row, its bytes and later flushes and compactions included. */
  readonly rowWriteUs: number;
  /** From handing over a small batch until it is durable: a wait, not a use of a core. */
  readonly fsyncUs: number;
  /** The use of a core within `fsyncUs`, all threads and the kernel together. */
  readonly fsyncCpuUs: number;
  /** Writing one KiB of a large value, likewise. */
  readonly writePerKiBUs: number;
  /** A small frame that finds both ends asleep: sending and receiving it with its acknowledgement, both ends together. */
  readonly wireFixedUs: number;
  /** One more KiB of a frame, both ends together. */
  readonly wirePerKiBUs: number;
  /** One HTTP request with one vertex, client and server together. */
  readonly requestUs: number;
  /** One more vertex of a request: its payload, its receipt. Client and server together. */
  readonly requestVertexUs: number;
  /** One way between two machines; a wait. */
  readonly linkLatencyUs: number;
  /** What one machine sends, and what it receives, in Mbit/s. */
  readonly linkMbitPerS: number;
  /** Cores of one node's machine; at least 1. */
  readonly coresPerNode: number;
}

/** A cost table that cannot be used. */
export class CostTableError extends Error {
  override readonly name = "CostTableError";
  readonly code: "not-json" | "not-an-object" | "unknown-field" | "missing-field" | "not-a-number";

  constructor(code: CostTableError["code"], message: string) {
    super(`the cost table cannot be used: ${message}`);
    this.code = code;
  }
}

/**
 * What `bun bench/calibrate.ts` measured: two cores of an Intel Xeon (family 6, model 167, 2.5 GHz), a virtual disk with
 * ext4, Linux, Bun 1.4.5, 2026-11-21; medians of several runs. The link is no measurement: 1 Gbit/s and 0.5 ms one way, an ordinary LAN.
 */
export const REFERENCE_COSTS: CostTable = {
  signUs: 280,
  verifyUs: 220,
  verifyLoopUs: 46,
  hashFixedUs: 1.25,
  hashPerKiBUs: 0.25,
  encodeFixedUs: 1.9,
  encodePerKiBUs: 0.33,
  decodePerKiBUs: 0.37,
  rowUs: 0.65,
  rowWriteUs: 3.5,
  fsyncUs: 280,
  fsyncCpuUs: 230,
  writePerKiBUs: 6,
  wireFixedUs: 105,
  wirePerKiBUs: 2.5,
  requestUs: 150,
  requestVertexUs: 6.4,
  linkLatencyUs: 500,
  linkMbitPerS: 1_000,
  coresPerNode: 2,
};

/** Fields that divide; zero has no meaning there. */
const POSITIVE: readonly string[] = ["linkMbitPerS", "coresPerNode"];

const FIELDS: readonly string[] = Object.keys(REFERENCE_COSTS);

/**
 * Reads what `bun bench/calibrate.ts --json` printed. Every field must be there and none else.
 * @throws CostTableError
 */
export function parseCostTable(json: string): CostTable {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new CostTableError("not-json", `${String(error)}; write it with: bun bench/calibrate.ts --json`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CostTableError("not-an-object", "an object with one number for each operation belongs here");
  }
  const entries = new Map<string, unknown>(Object.entries(value));
  for (const name of entries.keys()) {
    if (!FIELDS.includes(name)) throw new CostTableError("unknown-field", `"${name}" is none of ${FIELDS.join(", ")}`);
  }
  for (const name of FIELDS) checkField(name, entries);
  return value as CostTable;
}

function checkField(name: string, entries: ReadonlyMap<string, unknown>): void {
  const field = entries.get(name);
  if (field === undefined) throw new CostTableError("missing-field", `"${name}" is not there; calibrate anew`);
  const least = POSITIVE.includes(name) ? "above 0" : "0 or more";
  const valid = typeof field === "number" && Number.isFinite(field) && field >= 0;
  if (!valid || (field === 0 && POSITIVE.includes(name))) {
    throw new CostTableError("not-a-number", `"${name}" is ${JSON.stringify(field)}: a finite number, ${least}`);
  }
}
