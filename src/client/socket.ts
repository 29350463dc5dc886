import { problemOf } from "./answer.ts";
import { codeOfProblem, CretoError } from "./creto-error.ts";
import { Fields } from "./fields.ts";
import { abortable } from "./patience.ts";

/** As much of a WebSocket as is used: that of browsers, of Bun, of Node from 22 on, and of the package `ws`. */
export interface WebSocketLike {
  send(data: string): void;
  close(): void;
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: object) => void): void;
}

export type WebSocketMaker = new (url: string) => WebSocketLike;

/** One connection to `/v1/stream`, from its opening to its end. */
export class StreamSocket {
  readonly #socket: WebSocketLike;
  readonly #onMessage: (message: Fields, weight: number) => void;
  readonly #node: string;
  #settle: ((error: CretoError | null) => void) | null = null;
  #early: CretoError | null = null;
  #isOver = false;

  /** @param onMessage gets every message; what it throws ends the connection */
  constructor(
    { maker, node, hello }: { readonly maker: WebSocketMaker; readonly node: string; readonly hello: object },
    onMessage: (message: Fields, weight: number) => void,
  ) {
    this.#onMessage = onMessage;
    this.#node = node;
    this.#socket = opened(maker, node);
    this.#socket.addEventListener("open", () => this.#socket.send(JSON.stringify(hello)));
    this.#socket.addEventListener("message", (event) => this.#take(Reflect.get(event, "data")));
    this.#socket.addEventListener("error", () => this.#over(this.#lost("failed")));
    this.#socket.addEventListener("close", () => this.#over(this.#lost("ended")));
  }

  /** Resolves when `close` was called. @throws CretoError why the connection ended, or the signal's reason */
  async whenOver(signal: AbortSignal): Promise<void> {
    try {
      await abortable(signal, (resolve, reject) => {
        if (this.#early !== null) reject(this.#early);
        else if (this.#isOver) resolve();
        this.#settle = (error) => (error === null ? resolve() : reject(error));
        return () => undefined;
      });
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#over(null);
  }

  /** Ends it for a reason that `whenOver` throws. */
  fail(error: CretoError): void {
    this.#over(error);
  }

  #take(data: unknown): void {
    if (this.#isOver) return;
    try {
      const text = String(data);
      const message = new Fields(jsonOf(text), `${this.#node}'s message`);
      if (message.text("type") === "error") throw this.#errorOf(text);
      this.#onMessage(message, text.length);
    } catch (error) {
      this.#over(error instanceof CretoError ? error : new CretoError("bad-answer", String(error), { cause: error }));
    }
  }

  #errorOf(text: string): CretoError {
    const said = jsonOf(text);
    const problem = problemOf(typeof said === "object" && said !== null ? Reflect.get(said, "problem") : null);
    if (problem === null) return new CretoError("bad-answer", `${this.#node} tells an error without a problem`);
    return new CretoError(codeOfProblem(problem.type), problem.detail, { problem, node: this.#node });
  }

  #lost(how: string): CretoError {
    return new CretoError("unreachable", `the stream of ${this.#node} ${how}`, { node: this.#node });
  }

  #over(error: CretoError | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#early = error;
    this.#socket.close();
    this.#settle?.(error);
  }
}

function opened(maker: WebSocketMaker, node: string): WebSocketLike {
  try {
    return new maker(`${node.replace(/^http/i, "ws")}/v1/stream`);
  } catch (error) {
    // A page that came by https, for example, may open no stream without TLS.
    const message = `the WebSocket of this runtime refuses ${node}: ${String(error)}`;
    throw new CretoError("no-websocket", message, { node, cause: error });
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new CretoError("bad-answer", "a message of the stream is no JSON", { cause: error });
  }
}
