import type { Call } from "./handlers.ts";
import type { ProblemKind } from "./problem.ts";

export interface Parameter {
  readonly name: string;
  readonly description: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

/** A route with its documentation: what is served and what `/openapi.json` says come from here. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With `{name}` for one part that varies. */
  readonly path: string;
  /** The part that varies is one text however many slashes it has, escaped or not; else each of them parts it. */
  readonly isWhole?: boolean;
  readonly summary: string;
  readonly query?: readonly Parameter[];
  readonly headers?: readonly Parameter[];
  /** Media types of the body and their schemas. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** The name of the answer's schema, for each status of success. */
  readonly answers: Readonly<Record<number, string>>;
  readonly problems: readonly ProblemKind[];
  readonly handle: (call: Call) => Response | Promise<Response>;
}
