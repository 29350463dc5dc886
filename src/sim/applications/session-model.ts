import type { ClientId } from "../../replication/command.ts";
import type { Outcome } from "../../replication/outcome.ts";

/** As many numbers of a client are remembered, from its highest one down (docs/key-value.md). */
const REMEMBERED = 64;

/** What clients' numbers led to, for ever; and what of that replicas still know. */
export class SessionModel {
  readonly #outcomes = new Map<ClientId, Map<number, Outcome>>();
  readonly #highest = new Map<ClientId, number>();

  /** What a replica says of a number that comes now; null where it is to be applied. */
  recall(client: ClientId, number: number): Outcome | "forgotten" | null {
    const highest = this.#highest.get(client);
    if (highest === undefined) return number <= REMEMBERED ? null : "forgotten";
    if (number <= highest - REMEMBERED) return "forgotten";
    return this.outcome(client, number);
  }

  record(client: ClientId, outcome: Outcome): void {
    const known = this.#outcomes.get(client) ?? new Map<number, Outcome>();
    known.set(outcome.number, outcome);
    this.#outcomes.set(client, known);
    this.#highest.set(client, Math.max(outcome.number, this.#highest.get(client) ?? 0));
  }

  /** Also what replicas have forgotten. */
  outcome(client: ClientId, number: number): Outcome | null {
    return this.#outcomes.get(client)?.get(number) ?? null;
  }
}
