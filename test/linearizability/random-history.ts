import { Random } from "../../src/sim/random.ts";
import { FAILED, UNKNOWN } from "./history.ts";
import type { KvInput, KvOutput } from "./kv-operations.ts";
import { type InputOptions, MIX, randomInput, type Sight } from "./random-input.ts";
import { ReferenceStore } from "./reference-store.ts";

/** What is planted: nothing, or one kind of fault in some operations. */
export type Planted = "nothing" | "stale-read" | "lost-update";

export interface HistoryOptions {
  readonly clients: number;
  readonly operations: number;
  readonly input: InputOptions;
  /** Of operations whose answer nobody hears; half of these take effect, some long after. */
  readonly unknown: number;
  readonly failed: number;
  readonly planted: Planted;
  /** How many operations get the fault, of those that can. */
  readonly plantedShare: number;
}

export const HISTORY: HistoryOptions = {
  clients: 5,
  operations: 150,
  input: { keys: ["a", "b", "r/a", "r/b"], rangePrefix: "r/", mix: MIX, comparesValues: true },
  unknown: 0.05,
  failed: 0.03,
  planted: "nothing",
  plantedShare: 0,
};

import type { KvOperation } from "./histories.ts";

interface Planned {
  readonly client: string;
  readonly calledAt: number;
  readonly returnedAt: number;
  /** When it takes effect. */
  readonly at: number;
  readonly fate: "ok" | "failed" | "unknown" | "never";
}

/**
 * A history that is linearizable by construction, unless a fault is planted: every operation gets a moment between its
 * call and its return, and is done by one plain store at that moment.
 */
export function randomHistory(seed: number, options: HistoryOptions = HISTORY): readonly KvOperation[] {
  const random = Random.of(seed, 1);
  const store = new ReferenceStore();
  const sights = new Map<string, Sight>();
  const history: KvOperation[] = [];
  const planned = plan(Random.of(seed, 2), options).toSorted((left, right) => left.at - right.at);
  for (const [index, { client, calledAt, returnedAt, fate }] of planned.entries()) {
    const input = randomInput(random, options.input, `v${index}`, (key) => sights.get(key) ?? null);
    const base = { client, input, calledAt, returnedAt };
    if (fate === "failed") history.push({ ...base, outcome: FAILED });
    else if (fate === "never") history.push({ ...base, outcome: UNKNOWN });
    else {
      const output = perform(random, store, input, options);
      remember(sights, input, output);
      history.push({ ...base, outcome: fate === "unknown" ? UNKNOWN : { type: "ok", output } });
    }
  }
  return history.sort((left, right) => left.calledAt - right.calledAt);
}

/** Clients do one operation after the other; times are small whole numbers, so that some fall together. */
function plan(random: Random, { clients, operations, unknown, failed }: HistoryOptions): readonly Planned[] {
  const planned: Planned[] = [];
  const free = new Array<number>(clients).fill(0);
  for (let count = 0; count < operations; count++) {
    const client = random.below(clients);
    const calledAt = (free[client] ?? 0) + random.between(1, 20);
    const at = calledAt + random.below(20);
    const returnedAt = at + random.below(20);
    free[client] = returnedAt;
    const name = `c${client}`;
    if (random.chance(failed)) planned.push({ client: name, calledAt, returnedAt, at, fate: "failed" });
    else if (random.chance(unknown)) {
      const late = random.chance(0.5) ? at : at + random.below(400);
      planned.push({ client: name, calledAt, returnedAt, at: late, fate: random.chance(0.5) ? "unknown" : "never" });
    } else planned.push({ client: name, calledAt, returnedAt, at, fate: "ok" });
  }
  return planned;
}

function perform(random: Random, store: ReferenceStore, input: KvInput, options: HistoryOptions): KvOutput {
  const isRead = input.type === "get" || input.type === "range";
  const isPlanted = random.chance(options.plantedShare);
  if (isPlanted && isRead && options.planted === "stale-read") return store.readBehind(input, random.between(5, 40));
  if (isPlanted && !isRead && options.planted === "lost-update") return store.pretend(input);
  return store.apply(input);
}

function remember(sights: Map<string, Sight>, input: KvInput, output: KvOutput): void {
  if (input.type === "get" && output.type === "read" && output.item !== null) {
    const { value, version } = output.item;
    sights.set(input.key, { value, version: typeof version === "number" ? version : null });
  }
  if (input.type === "put" && output.type === "written" && typeof output.version === "number")
    sights.set(input.key, { value: input.value, version: output.version });
}

/** The same history as of a store that tells no versions: there only values give a fault away. */
export function withoutVersions(history: readonly KvOperation[]): readonly KvOperation[] {
  return history.map((operation) => {
    const { outcome } = operation;
    return outcome.type === "ok"
      ? { ...operation, outcome: { type: "ok", output: untold(outcome.output) } }
      : operation;
  });
}

function untold(output: KvOutput): KvOutput {
  switch (output.type) {
    case "read":
      return output.item === null ? output : { ...output, item: { value: output.item.value, version: "untold" } };
    case "written":
      return { ...output, version: "untold", previous: output.previous === "absent" ? "absent" : "untold" };
    case "conflict":
      return { ...output, current: output.current === "absent" ? "absent" : "untold" };
    case "items":
      return { ...output, items: output.items.map((item) => ({ ...item, version: "untold" })) };
  }
}
