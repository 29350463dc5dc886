import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  type Client,
  CretoError,
  runWorker,
  StepFailed,
  WorkflowRefused,
  type WorkflowTask,
} from "../../src/client/main.ts";
import { Workflows } from "../../src/replication/workflow/workflows.ts";
import { WorkflowNetwork } from "./workflow-network.ts";

setDefaultTimeout(30_000);

const clients: Client[] = [];
const workers: { readonly stop: AbortController; readonly report: Promise<unknown> }[] = [];

afterEach(async () => {
  for (const { stop } of workers) stop.abort();
  await Promise.allSettled(workers.splice(0).map(({ report }) => report));
  for (const client of clients.splice(0)) client.close();
});

function clientOf(network: WorkflowNetwork, timeoutMs?: number): Client {
  const client = network.client(timeoutMs);
  clients.push(client);
  return client;
}

type Options = Omit<Parameters<typeof runWorker>[0], "client" | "signal">;

function work(network: WorkflowNetwork, options: Options, timeoutMs?: number) {
  const stop = new AbortController();
  const report = runWorker({ client: clientOf(network, timeoutMs), signal: stop.signal, pollMs: 20, ...options });
  workers.push({ stop, report });
  return { stop, report };
}

const text = (bytes: Uint8Array | undefined | null): string => new TextDecoder().decode(bytes ?? new Uint8Array(0));

/** Joins what came before it. */
const joining = (task: WorkflowTask): string =>
  `${task.step}(${[...task.outputs].map(([step, output]) => `${step}=${text(output)}`).join(",")})`;

/** A handler that the test lets go. */
function gate(): {
  readonly opened: Promise<void>;
  readonly open: () => void;
  readonly entered: Promise<void>;
  readonly enter: () => void;
} {
  const [open, enter] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  return { opened: open.promise, open: open.resolve, entered: enter.promise, enter: enter.resolve };
}

describe("a worker", () => {
  test("does all steps of a run, gives each the outputs before it, and ends cleanly", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const { stop, report } = work(network, { handlers: { join: joining } });
    const handler = "join";
    const steps = [
      { name: "end", handler, dependsOn: ["left", "right"] },
      { name: "left", handler, dependsOn: ["begin"] },
      { name: "right", handler, dependsOn: ["begin"] },
      { name: "begin", handler },
    ];
    expect(await workflow.start("run", steps)).toEqual({ isNew: true });
    const status = await workflow.wait("run", { pollMs: 20 });
    expect(status).toMatchObject({ state: "completed", completed: 4, reason: null });
    const begin = "begin()";
    const wanted = `end(left=left(begin=${begin}),right=right(begin=${begin}))`;
    expect(text(await workflow.output("run", "end"))).toBe(wanted);
    expect(await workflow.start("run", steps)).toEqual({ isNew: false });
    stop.abort();
    expect(await report).toEqual({ completed: 4, failed: 0, lost: 0, released: 0 });
    expect(network.commits.every(({ status: each }) => each === "applied")).toBe(true);
  });

  test("does steps at the same time that do not wait for each other, and no more of them than it may", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const together = gate();
    let [now, most] = [0, 0];
    const handlers = {
      wait: async () => {
        now += 1;
        most = Math.max(most, now);
        // Only ever goes on when three are here.
        if (now === 3) together.open();
        await together.opened;
        now -= 1;
        return "done";
      },
    };
    work(network, { handlers, concurrency: 3 });
    await workflow.start(
      "wide",
      Array.from({ length: 9 }, (_, at) => ({ name: `s${at}`, handler: "wait" })),
    );
    expect((await workflow.wait("wide", { pollMs: 20 })).completed).toBe(9);
    expect([most, network.mostHeld]).toEqual([3, 3]);
  });

  test("is told inputs and outputs that are too large to be remembered with the claim", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const large = new Uint8Array(60_000).fill(7);
    const sizes: number[] = [];
    const handlers = {
      make: ({ input, outputs }: WorkflowTask) => outputs.get("a") ?? input,
      measure: ({ outputs }: WorkflowTask) => {
        sizes.push(...[...outputs.values()].map((output) => output.length));
        return "measured";
      },
    };
    work(network, { handlers });
    const names = ["a", "b"].map((name) => ({ name, handler: "make", input: large }));
    const copies = ["c", "d", "e", "f", "g"].map((name) => ({ name, handler: "make", dependsOn: ["a"] }));
    const all = [...names, ...copies].map(({ name }) => name);
    await workflow.start("big", [...names, ...copies, { name: "measure", dependsOn: all }]);
    await workflow.wait("big", { pollMs: 20 });
    expect(sizes).toEqual(Array.from({ length: 7 }, () => 60_000));
    expect(await workflow.output("big", "a")).toEqual(large);
  });

  test("has a step done again that failed, and fails the run where that is final or was the last attempt", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const tries: string[] = [];
    const errors: unknown[] = [];
    const handlers = {
      third: ({ attempt, token }: WorkflowTask) => {
        tries.push(token);
        if (attempt < 3) throw new Error(`no luck ${attempt}`);
        return "luck";
      },
      never: () => {
        throw new Error("never");
      },
      final: () => {
        throw new StepFailed("it cannot be", { isFinal: true });
      },
    };
    work(network, { handlers, onError: (error) => errors.push(error) });
    const backoffMs = 1;
    await workflow.start("lucky", [{ name: "third", backoffMs }]);
    await workflow.start("unlucky", [
      { name: "never", backoffMs, attempts: 2 },
      { name: "behind", dependsOn: ["never"] },
    ]);
    await workflow.start("hopeless", [{ name: "final", backoffMs }]);
    expect(await workflow.wait("lucky", { pollMs: 20 })).toMatchObject({ state: "completed" });
    expect(tries).toEqual(["lucky/third/1", "lucky/third/2", "lucky/third/3"]);
    const unlucky = await workflow.wait("unlucky", { pollMs: 20 });
    expect(unlucky).toMatchObject({ state: "failed", reason: "step never: never" });
    expect(unlucky.all.map(({ state, failures }) => [state, failures])).toEqual([
      ["failed", 2],
      ["abandoned", 0],
    ]);
    const hopeless = await workflow.wait("hopeless", { pollMs: 20 });
    expect(hopeless).toMatchObject({ state: "failed", reason: "step final: it cannot be" });
    expect(errors).toHaveLength(5);
  });

  test("keeps its lease for as long as its handler runs", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const { opened, open } = gate();
    let heartbeats = 0;
    network.losesAnswer = (command) => {
      if (command.kind === "heartbeat") heartbeats += 1;
      if (heartbeats === 3) open();
      return false;
    };
    const slow = async (): Promise<string> => {
      await opened;
      return "at last";
    };
    work(network, { handlers: { slow }, leaseMs: 1_000 });
    work(network, { handlers: { slow }, leaseMs: 1_000 });
    await workflow.start("slow", [{ name: "slow" }]);
    const { all } = await workflow.wait("slow", { pollMs: 20 });
    expect(all[0]).toMatchObject({ state: "completed", attempt: 1, failures: 0 });
  });

  test("whose lease went to another one is told so, and its output is refused", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const lease = await (async () => {
      await workflow.start("run", [{ name: "step" }]);
      return await workflow.claim("first", ["step"], { leaseMs: 1_000 });
    })();
    if (!("run" in lease)) throw new Error("it was to be claimed");
    network.aheadMs += 1_000;
    work(network, { handlers: { step: () => "by the second" }, worker: "second" });
    await workflow.wait("run", { pollMs: 20 });
    const refusal = await workflow.complete(lease, "by the first").catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(WorkflowRefused);
    expect(refusal).toMatchObject({ code: "workflow-refused", refusal: "already-completed", attempt: 2 });
    expect(text(await workflow.output("run", "step"))).toBe("by the second");
  });

  test("stops a handler whose lease is another's, or whose run was cancelled", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const { entered, enter } = gate();
    const stopped = Promise.withResolvers<unknown>();
    const handlers = {
      step: async (_: WorkflowTask, { signal, heartbeat }: { signal: AbortSignal; heartbeat: () => Promise<void> }) => {
        enter();
        while (!signal.aborted) await heartbeat().catch(() => undefined);
        stopped.resolve(signal.reason);
        throw new Error("stopped");
      },
    };
    const { stop, report } = work(network, { handlers });
    await workflow.start("run", [{ name: "step" }]);
    await entered;
    await workflow.cancel("run", "changed my mind");
    expect(await stopped.promise).toMatchObject({ refusal: "run-ended" });
    expect(await workflow.status("run")).toMatchObject({ state: "cancelled", reason: "changed my mind" });
    stop.abort();
    expect(await report).toMatchObject({ lost: 1, completed: 0 });
  });

  test("knows its own completion again where the answer was lost, and a claim where that was", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const lost = new Set<string>();
    network.losesAnswer = ({ kind }) => {
      if (kind === "start" || lost.has(kind)) return false;
      lost.add(kind);
      return true;
    };
    const { stop, report } = work(network, { handlers: { step: () => "once" } });
    await workflow.start("run", [{ name: "step" }]);
    expect((await workflow.wait("run", { pollMs: 20 })).all[0]).toMatchObject({ attempt: 1 });
    stop.abort();
    expect(await report).toMatchObject({ completed: 1, lost: 0 });
    expect([...lost].sort((left, right) => (left < right ? -1 : 1))).toEqual(["claim", "complete"]);
  });

  test("knows its own completion again also where it had to send it as another command", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    let first = 0;
    network.losesAnswer = ({ kind }, number) => {
      if (kind !== "complete") return false;
      first ||= number;
      return number === first;
    };
    const { stop, report } = work(network, { handlers: { step: () => "once" } }, 200);
    await workflow.start("run", [{ name: "step" }]);
    await workflow.wait("run", { pollMs: 20 });
    stop.abort();
    expect(await report).toEqual({ completed: 1, failed: 0, lost: 0, released: 0 });
    const completions = network.commits.filter(({ kind }) => kind === "complete");
    expect(completions.map(({ status }) => status)).toEqual(["applied", "rejected"]);
  });

  test("goes on where a run is gone before it has asked what its step is given", async () => {
    const network = new WorkflowNetwork(new Workflows({ endedRuns: 0 }));
    const { workflow } = clientOf(network);
    const gone = Promise.withResolvers<void>();
    network.onQuestion = async ({ kind }) => {
      if (kind !== "given") return;
      await workflow.cancel("gone");
      gone.resolve();
    };
    const done = Promise.withResolvers<void>();
    const small = (): string => {
      done.resolve();
      return "done";
    };
    const handlers = { large: () => "never", small };
    const { stop, report } = work(network, { handlers });
    await workflow.start("gone", [{ name: "large", input: new Uint8Array(60_000) }]);
    await gone.promise;
    await workflow.start("next", [{ name: "small" }]);
    await done.promise;
    stop.abort();
    expect(await report).toEqual({ completed: 1, failed: 0, lost: 0, released: 0 });
  });

  test("ends where the network can never be worked for", async () => {
    const network = new WorkflowNetwork();
    const client = clientOf(network);
    client.close();
    await expect(runWorker({ client, handlers: { step: () => "" } })).rejects.toMatchObject({ code: "closed" });
    await expect(runWorker({ client, handlers: {} })).rejects.toMatchObject({ code: "invalid-argument" });
  });

  test("gives a step back that it does not end in time, and takes none any more", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const { entered, enter } = gate();
    const step = async (_: WorkflowTask, { signal }: { signal: AbortSignal }): Promise<string> => {
      enter();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw signal.reason;
    };
    const { stop, report } = work(network, { handlers: { step }, graceMs: 1 });
    await workflow.start("run", [{ name: "step", attempts: 1 }]);
    await entered;
    stop.abort();
    expect(await report).toEqual({ completed: 0, failed: 0, lost: 0, released: 1 });
    expect((await workflow.status("run"))?.all[0]).toMatchObject({ state: "ready", attempt: 1, failures: 0 });
    work(network, { handlers: { step: () => "by another" } });
    expect(await workflow.wait("run", { pollMs: 20 })).toMatchObject({ state: "completed" });
  });

  test("gives a step back at once that it was given while it stopped", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    await workflow.start("run", [{ name: "step" }]);
    const step = async (_: WorkflowTask, { signal }: { signal: AbortSignal }): Promise<string> => {
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw signal.reason;
    };
    const stop = new AbortController();
    network.losesAnswer = ({ kind }) => {
      if (kind === "claim") stop.abort();
      return false;
    };
    const report = runWorker({
      client: clientOf(network),
      handlers: { step },
      signal: stop.signal,
      graceMs: 3_600_000,
    });
    expect(await report).toEqual({ completed: 0, failed: 0, lost: 0, released: 1 });
  });

  test("fails the run where the output is none that a step can have", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    const { report, stop } = work(network, {
      handlers: { large: () => new Uint8Array(65_537), none: (() => undefined) as never },
    });
    await workflow.start("large", [{ name: "large" }]);
    await workflow.start("none", [{ name: "none" }]);
    expect((await workflow.wait("large", { pollMs: 20 })).reason).toContain("65537 bytes");
    expect((await workflow.wait("none", { pollMs: 20 })).reason).toContain("no bytes and no text");
    stop.abort();
    await report;
  });
});

describe("the client's workflows", () => {
  test("are refused with the place", async () => {
    const { workflow } = clientOf(new WorkflowNetwork());
    const cycle = [
      { name: "a", dependsOn: ["b"] },
      { name: "b", dependsOn: ["a"] },
    ];
    const refusal = await workflow.start("run", cycle).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(CretoError);
    expect(refusal).toMatchObject({ refusal: "cycle", step: 0, dependency: 0 });
    expect(String(refusal)).toContain("steps[0].dependsOn[0]: a waits for b waits for a");
    const invalid = await workflow.start("run", [{ name: "a b" }]).catch((error: unknown) => error);
    expect(invalid).toMatchObject({ code: "invalid-argument" });
    expect(String(invalid)).toContain("steps[0].name");
  });

  test("are listed, watched, and waited for", async () => {
    const network = new WorkflowNetwork();
    const { workflow } = clientOf(network);
    for (let index = 0; index < 250; index++) await workflow.start(`run-${index}`, [{ name: "a" }]);
    const names: string[] = [];
    for await (const { run } of workflow.runs()) names.push(run);
    expect(names).toEqual(Array.from({ length: 250 }, (_, index) => `run-${index}`));
    const seen: string[] = [];
    const reads = network.reads.length;
    for await (const { all, state } of workflow.watch("run-0", { pollMs: 5 })) {
      seen.push(`${state} ${all[0]?.state}`);
      if (seen.length === 1) await workflow.claim("w", ["a"], { leaseMs: 1_000 });
      if (seen.length === 2) await workflow.cancel("run-0");
    }
    expect(seen).toEqual(["running ready", "running leased", "cancelled abandoned"]);
    // What was there once is looked for at one node; only the first look costs an agreement.
    expect(network.reads.slice(reads)).toEqual(["linearizable", "local", "local"]);
    expect(await workflow.status("nobody")).toBeNull();
    await expect(workflow.wait("nobody")).rejects.toMatchObject({ code: "invalid-argument" });
    await expect(workflow.wait("run-1", { timeoutMs: 30 })).rejects.toMatchObject({ code: "timeout" });
    await expect(workflow.wait("run-1", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  });
});
