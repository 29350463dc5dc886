// Named counters that all nodes agree on: an application of your own in 60 lines. See docs/applications.md.
import { createHash } from "node:crypto";
import { type Application, CommandRejected, QueryRefused } from "cretoai/application";

const text = new TextDecoder("utf-8", { fatal: true });
const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** Commands and questions come from anybody: whatever they are, every node must refuse them in the same way. */
function parse(command: Uint8Array): { readonly counter: string; readonly add: number } {
  let value: { readonly counter?: unknown; readonly add?: unknown } | null;
  try {
    value = JSON.parse(text.decode(command));
  } catch {
    throw new CommandRejected("a command is JSON");
  }
  const { counter, add } = value ?? {};
  if (typeof counter !== "string" || counter.length === 0 || counter.length > 100)
    throw new CommandRejected("counter is a text of 1 to 100 characters");
  if (typeof add !== "number" || !Number.isSafeInteger(add)) throw new CommandRejected("add is a whole number");
  return { counter, add };
}

class Counters implements Application {
  readonly name = "counters";
  #values = new Map<string, number>();

  apply(command: Uint8Array): Uint8Array {
    const { counter, add } = parse(command);
    const value = (this.#values.get(counter) ?? 0) + add;
    if (!Number.isSafeInteger(value)) throw new CommandRejected(`${counter} would leave the range of whole numbers`);
    this.#values.set(counter, value);
    return bytes({ counter, value });
  }

  query(question: Uint8Array): Uint8Array {
    const counter = text.decode(question);
    const value = this.#values.get(counter);
    if (value === undefined) throw new QueryRefused("failed", `there is no counter ${JSON.stringify(counter)}`);
    return bytes({ counter, value });
  }

  // The state as of this call (so no generator), in an order that depends on the state alone: equal states have equal bytes.
  snapshot(): Iterable<Uint8Array> {
    return [bytes([...this.#values].sort(([left], [right]) => (left < right ? -1 : 1)))];
  }

  restore(chunks: Iterable<Uint8Array>): void {
    for (const chunk of chunks) this.#values = new Map(JSON.parse(text.decode(chunk)));
  }

  stateHash(): Uint8Array {
    const hash = createHash("sha256");
    for (const chunk of this.snapshot()) hash.update(chunk);
    return hash.digest();
  }
}

/** What `cretoai-node start --app` looks for. */
export function createApplication(): Application {
  return new Counters();
}
