import { afterEach, describe, expect, test } from "bun:test";
import { PROBLEMS } from "../../src/api/problem.ts";
import { CretoError, PROBLEM_CODES } from "../../src/client/creto-error.ts";
import { type Client, type ConnectOptions, connect } from "../../src/client/main.ts";
import { ScriptedNetwork } from "./scripted-network.ts";

let network: ScriptedNetwork;
let client: Client;

async function start(nodes: number, options: Partial<ConnectOptions> = {}): Promise<void> {
  network = new ScriptedNetwork(nodes);
  client = connect({ nodes: await network.start(), timeoutMs: 20_000, ...options });
}

afterEach(async () => {
  client.close();
  await network.stop();
});

async function failure(work: Promise<unknown>): Promise<CretoError> {
  const error: unknown = await work.then(
    () => "no error",
    (reason: unknown) => reason,
  );
  if (error instanceof CretoError) return error;
  throw new Error(`not a CretoError: ${String(error)}`);
}

function nodesSeen(): ReadonlySet<number> {
  return new Set(network.seen.map(({ node }) => node));
}

describe("a node is used", () => {
  test("for everything until it fails, and then another one for everything", async () => {
    await start(3);
    for (let round = 0; round < 5; round++) await client.status();
    expect(nodesSeen().size).toBe(1);
    const [first] = nodesSeen();
    network.faults[first ?? 0]?.push({ status: 503, problem: "stopping" });
    for (let round = 0; round < 5; round++) await client.status();
    expect(network.seen).toHaveLength(11);
    expect(new Set(network.seen.slice(6).map(({ node }) => node)).size).toBe(1);
    expect(network.seen[6]?.node).not.toBe(first);
  });

  test("no longer when it does not answer", async () => {
    await start(2, { attemptTimeoutMs: 200 });
    network.everywhere("hang");
    network.faults[1]?.pop();
    for (let round = 0; round < 3; round++) expect((await client.status()).quorum).toBe(3);
  });

  test("after it asked to be left alone, only when that is over", async () => {
    await start(1);
    network.everywhere({ status: 429, problem: "overloaded", retryAfter: "60" });
    const error = await failure(client.submit("late", { timeoutMs: 300 }));
    expect(error).toMatchObject({
      code: "overloaded",
      retryAfterMs: 60_000,
      isRetryable: true,
      mayHaveHappened: false,
    });
    expect(error.problem).toMatchObject({ type: "/problems/overloaded", status: 429, detail: "scripted" });
    expect(network.seen.filter(({ method }) => method === "POST")).toHaveLength(1);
  });

  test("instead of one that asked to be left alone", async () => {
    await start(2);
    network.everywhere({ status: 429, problem: "overloaded", retryAfter: "60" });
    network.faults[1]?.pop();
    await client.submit("one");
    await client.submit("two");
    expect(network.store.submitted).toEqual(["one", "two"]);
  });

  test("again soon where it only failed once", async () => {
    await start(1);
    network.everywhere({ status: 503, problem: "not-ready" });
    network.everywhere("drop-before");
    expect((await client.status()).role).toBe("validator");
    expect(network.seen).toHaveLength(3);
  });
});

describe("a submission whose answer is lost", () => {
  test("is not one that found nobody, also where a browser does not tell the two apart", async () => {
    await start(1);
    const gone = "http://127.0.0.1:1";
    const opaque = async (url: string, init: RequestInit): Promise<Response> => {
      if (!url.startsWith(gone)) return await fetch(url, init);
      throw new TypeError("Failed to fetch");
    };
    for (let round = 0; round < 8; round++) {
      const browser = connect({ nodes: [gone, ...network.urls], fetch: opaque });
      await browser.submit(`round ${round}`);
      browser.close();
    }
    expect(network.store.submitted).toHaveLength(8);
  });

  test("is not sent again, and the error says that it may have happened", async () => {
    await start(2);
    network.everywhere("drop-after");
    const error = await failure(client.submit("once"));
    expect(error).toMatchObject({ code: "outcome-unknown", mayHaveHappened: true, isRetryable: true });
    expect(network.store.submitted).toEqual(["once"]);
  });

  test("is sent again where the caller says that a second one does no harm", async () => {
    await start(2);
    network.everywhere("drop-after");
    network.faults[1]?.pop();
    network.faults[0]?.push("drop-after");
    await client.submit("twice", { retry: "may-duplicate" });
    expect(network.store.submitted.length).toBeGreaterThanOrEqual(1);
    expect(new Set(network.store.submitted)).toEqual(new Set(["twice"]));
  });

  test.each([
    [{ status: 502, text: "<h1>bad gateway</h1>" }, "not-ready"],
    [{ status: 503, problem: "stopping" }, "stopping"],
    [{ status: 500, problem: "internal" }, "internal"],
  ])("is not sent again after %p either", async (fault, code) => {
    await start(2);
    network.everywhere(fault);
    expect(await failure(client.submit("once"))).toMatchObject({ code, mayHaveHappened: true });
    expect(network.seen.filter(({ method }) => method === "POST")).toHaveLength(1);
  });
});

describe("a command", () => {
  test("is applied once, though nodes lose their answers to it", async () => {
    await start(3);
    network.everywhere("drop-after");
    network.faults[2]?.pop();
    network.everywhere("drop-before");
    const outcome = await client.command("add 1");
    expect(outcome).toMatchObject({ status: "applied", number: 1, position: 1 });
    expect(new TextDecoder().decode(outcome.status === "applied" ? (outcome.result ?? undefined) : undefined)).toBe(
      "done add 1",
    );
    expect(network.store.applied).toEqual(["add 1"]);
  });

  test("that the application refuses has that as its outcome", async () => {
    await start(1);
    expect(await client.command("reject me")).toMatchObject({ status: "rejected", reason: "as it was told" });
  });

  test("of a client that was killed and began again is applied once", async () => {
    await start(1);
    const kept: number[] = [];
    const hook = { onNumber: ({ number }: { readonly number: number }): void => void kept.push(number) };
    const nodes = network.urls;
    const first = connect({ nodes, session: hook });
    network.everywhere("drop-after");
    const cut = new AbortController();
    network.onRequest = async () => cut.abort();
    await failure(first.command("pay", { signal: cut.signal }));
    network.onRequest = async () => undefined;
    const again = connect({ nodes, session: { client: first.session.client, nextNumber: kept[0] ?? 0 } });
    expect(await again.command("pay")).toMatchObject({ status: "applied", isReplay: true, number: 1 });
    expect(network.store.applied).toEqual(["pay"]);
    expect(await again.outcome(1)).toMatchObject({ status: "applied" });
    expect(await again.outcome(2)).toBeNull();
    again.close();
  });

  test("waits while its number is too far ahead of one that is under way", async () => {
    const announced: number[] = [];
    await start(1, { session: { onNumber: ({ number }) => void announced.push(number) } });
    const held = Promise.withResolvers<void>();
    network.onRequest = async ({ body }) => {
      if (body.includes('"number":1,')) await held.promise;
    };
    const all = Array.from({ length: 100 }, (_, index) => client.command(`c${index}`));
    await Promise.all(all.slice(1, 64));
    const numbers = network.seen.map(({ body }) => (JSON.parse(body) as { number: number }).number);
    expect(Math.max(...numbers)).toBe(64);
    held.resolve();
    const outcomes = await Promise.all(all);
    expect(outcomes.map(({ number }) => number)).toEqual(all.map((_, index) => index + 1));
    expect(announced).toEqual(outcomes.map(({ number }) => number));
    expect(client.session.nextNumber).toBe(101);
  });

  test("that nobody could write down is not sent", async () => {
    const onNumber = (): Promise<void> => Promise.reject(new Error("disk full"));
    await start(1, { session: { onNumber } });
    expect(await failure(client.command("x"))).toMatchObject({ code: "session-hook-failed" });
    expect(network.seen).toEqual([]);
  });

  test("among many has its outcome at its place", async () => {
    await start(2);
    network.everywhere("drop-after");
    const outcomes = await client.commands(Array.from({ length: 70 }, (_, index) => `c${index}`));
    expect(outcomes.map(({ number }) => number)).toEqual(Array.from({ length: 70 }, (_, index) => index + 1));
    expect(network.store.applied).toEqual(Array.from({ length: 70 }, (_, index) => `c${index}`));
  });

  test("that a node has forgotten is refused, not sent again", async () => {
    await start(1);
    network.everywhere({ status: 409, problem: "number-forgotten" });
    expect(await failure(client.command("x", { number: 3 }))).toMatchObject({
      code: "number-forgotten",
      isRetryable: false,
    });
    expect(network.seen).toHaveLength(1);
  });
});

describe("a call ends", () => {
  test("when its signal is aborted, with the caller's reason as the cause", async () => {
    await start(1);
    const cut = new AbortController();
    network.everywhere("hang");
    network.onRequest = async () => cut.abort("enough");
    expect(await failure(client.status({ signal: cut.signal }))).toMatchObject({ code: "aborted", cause: "enough" });
    expect(await failure(client.status({ signal: cut.signal }))).toMatchObject({ code: "aborted" });
    expect(network.seen).toHaveLength(1);
  });

  test("at its deadline", async () => {
    await start(1);
    network.everywhere("hang");
    expect(await failure(client.command("x", { timeoutMs: 200 }))).toMatchObject({
      code: "timeout",
      mayHaveHappened: true,
    });
  });

  test("when the client is closed", async () => {
    await start(1);
    network.everywhere("hang");
    network.onRequest = async () => client.close();
    expect(await failure(client.status())).toMatchObject({ code: "closed" });
  });

  test("with what kept it from any node", async () => {
    await start(1);
    const gone = connect({ nodes: ["http://127.0.0.1:1"], timeoutMs: 300 });
    const error = await failure(gone.command("x"));
    expect(error).toMatchObject({ code: "unreachable", mayHaveHappened: false, node: "http://127.0.0.1:1" });
    expect(error.message).toContain("is the node running?");
  });

  test("at once with an answer that is none of a node", async () => {
    await start(2);
    network.everywhere({ status: 200, text: "<html>" });
    expect(await failure(client.status())).toMatchObject({ code: "bad-answer" });
    for (const faults of network.faults) faults.splice(0, 1, { status: 200, text: '{"nodeId": 7}' });
    expect((await failure(client.status())).message).toContain("status.nodeId is not a text");
    for (const faults of network.faults) faults.splice(0, 1, { status: 418, problem: "teapot" });
    expect(await failure(client.status())).toMatchObject({ code: "unknown-problem" });
  });
});

describe("errors", () => {
  test("know every problem that the node answers with", async () => {
    await start(1);
    const known: readonly string[] = PROBLEM_CODES;
    expect(Object.keys(PROBLEMS).filter((kind) => !known.includes(kind))).toEqual([]);
  });

  test("name what is wrong with an argument before anything is sent", async () => {
    await start(1);
    expect(() => connect({ nodes: [] })).toThrow("one node at least");
    expect(() => connect({ nodes: ["localhost:8080"] })).toThrow("http://host:8080");
    expect(() => connect({ nodes: ["http://a"], session: { client: "me" } })).toThrow("32 lower-case");
    expect(await failure(client.vertex("x"))).toMatchObject({ code: "invalid-argument" });
    expect(await failure(client.command("x", { number: 0 }))).toMatchObject({ code: "invalid-argument" });
    expect(await failure(client.kv.get("x".repeat(513)))).toMatchObject({ code: "invalid-argument" });
    expect(network.seen).toEqual([]);
  });
});
