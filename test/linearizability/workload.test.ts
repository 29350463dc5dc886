import { describe, expect, test } from "bun:test";
import { serveDouble } from "./double-server.ts";
import { DoubleCluster, type Wrong } from "./double-targets.ts";
import { HttpTarget } from "./http-target.ts";
import { checkKv } from "./kv-check.ts";
import type { KvTarget } from "./kv-target.ts";
import { type NodeFaults, planFaults } from "./node-faults.ts";
import { type Recorded, runWorkload, WORKLOAD } from "./workload.ts";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/** Counts events: what happened in one turn is told apart, and a run is the same each time. */
function counter(): () => number {
  let count = 0;
  return () => ++count;
}

function verdictOf({ history }: Recorded): string {
  return checkKv(history).type;
}

async function recordDouble(seed: number, wrong: Wrong): Promise<Recorded> {
  const targets = new DoubleCluster(seed, wrong).targets(4);
  return await runWorkload(targets, { ...WORKLOAD, seed }, counter());
}

/** Answers nothing until the client gives up. */
const SILENT: KvTarget = {
  name: "silent",
  attempt: (_input, _command, signal) =>
    new Promise((resolve) =>
      signal.addEventListener("abort", () => resolve({ type: "unknown", reason: "no answer in time" })),
    ),
};

describe("the workload", () => {
  test("records linearizable histories of a linearizable store, lost answers and retries among them", async () => {
    for (const seed of SEEDS) {
      const recorded = await recordDouble(seed, "nothing");
      expect(verdictOf(recorded)).toBe("linearizable");
      expect([...recorded.reasons.keys()].toSorted()).toEqual([
        "busy",
        "lost on the way back",
        "lost on the way there",
        "still on the way",
      ]);
    }
  }, 60_000);

  test("does every kind of operation, with every kind of answer, several at a time", async () => {
    const { history } = await recordDouble(1, "nothing");
    const kinds = history.map(({ input, outcome }) =>
      outcome.type === "ok" ? `${input.type} ${outcome.output.type}` : outcome.type,
    );
    for (const kind of ["get read", "put written", "delete written", "range items", "failed"])
      expect(kinds).toContain(kind);
    expect(kinds).toContain("compare-and-set written");
    expect(kinds).toContain("compare-and-set conflict");
    const overlapping = history.filter(({ calledAt }, at) => (history[at - 1]?.returnedAt ?? 0) > calledAt);
    expect(overlapping.length).toBeGreaterThan(history.length / 2);
  });

  test("gives a store away that reads stale values", async () => {
    const verdicts = await Promise.all(SEEDS.map(async (seed) => verdictOf(await recordDouble(seed, "stale-reads"))));
    expect(verdicts).toEqual(SEEDS.map(() => "violation"));
  }, 60_000);

  test("gives a store away that does a command again when it is sent again", async () => {
    const verdicts = await Promise.all(SEEDS.map(async (seed) => verdictOf(await recordDouble(seed, "twice"))));
    expect(verdicts.filter((verdict) => verdict === "violation").length).toBeGreaterThan(7);
  }, 60_000);

  test("has writes without an answer where no attempt got one, and says why", async () => {
    const options = { ...WORKLOAD, operations: 12, attemptMsMax: 5, attemptsMax: 2 };
    const { history, reasons } = await runWorkload([SILENT], options);
    const writes = history.filter(({ input }) => input.type !== "get" && input.type !== "range");
    expect(writes.length).toBeGreaterThan(0);
    for (const { outcome } of writes) expect(outcome.type).toBe("unknown");
    expect(reasons.get("no answer in time")).toBe(24);
    expect(verdictOf({ history, reasons, faults: [] })).toBe("linearizable");
  });

  test("goes on with other nodes where one is silent", async () => {
    const targets = [SILENT, ...new DoubleCluster(3, "nothing").targets(3)];
    const recorded = await runWorkload(targets, { ...WORKLOAD, operations: 60, attemptMsMax: 5 }, counter());
    expect(verdictOf(recorded)).toBe("linearizable");
    const answered = recorded.history.filter(({ outcome }) => outcome.type === "ok");
    expect(answered.length).toBeGreaterThan(50);
  });
});

describe("over HTTP", () => {
  test("a linearizable store passes", async () => {
    const server = serveDouble(new DoubleCluster(1, "nothing"));
    try {
      const recorded = await runWorkload([new HttpTarget(server.url)], WORKLOAD);
      expect(recorded.reasons).toEqual(new Map());
      expect(recorded.history.map(({ outcome }) => outcome.type)).not.toContain("failed");
      expect(verdictOf(recorded)).toBe("linearizable");
    } finally {
      await server.stop();
    }
  }, 60_000);

  test("a stale one is given away", async () => {
    const server = serveDouble(new DoubleCluster(1, "stale-reads"));
    try {
      expect(verdictOf(await runWorkload([new HttpTarget(server.url)], WORKLOAD))).toBe("violation");
    } finally {
      await server.stop();
    }
  }, 60_000);

  test("nobody there is a refusal, an error of the node is none", async () => {
    const server = serveDouble(new DoubleCluster(1, "nothing"));
    await server.stop();
    const signal = new AbortController().signal;
    const command = { client: "0".repeat(32), number: 1 };
    const put = { type: "put", key: "a b/c", value: "1" } as const;
    expect(await new HttpTarget(server.url).attempt(put, command, signal)).toMatchObject({ type: "refused" });
    const broken = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url, method, headers }) => {
        const told = `${method} ${new URL(url).pathname} ${headers.get("x-cretoai-number")}`;
        return Response.json({ type: "/problems/timeout", detail: told }, { status: 504 });
      },
    });
    try {
      expect(await new HttpTarget(`http://127.0.0.1:${broken.port}`).attempt(put, command, signal)).toEqual({
        type: "unknown",
        reason: "504 /problems/timeout: PUT /v1/kv/a%20b%2Fc 1",
      });
    } finally {
      await broken.stop(true);
    }
  });
});

describe("faults", () => {
  const log: string[] = [];
  const told = (what: string) => async (node: number) => {
    log.push(`${what} ${node}`);
  };
  const nodes: NodeFaults = {
    nodes: 4,
    kill: told("kill"),
    restart: told("restart"),
    pause: told("pause"),
    resume: told("resume"),
  };

  test("come in their order in the midst of the workload, one node at a time, and are healed", async () => {
    const faults = planFaults(nodes, { seed: 5, operations: 600, hits: 6 });
    const targets = new DoubleCluster(5, "nothing").targets(4);
    const recorded = await runWorkload(targets, { ...WORKLOAD, faults }, counter());
    expect(recorded.faults).toEqual(faults.map(({ name }) => name));
    expect(log).toEqual(faults.map(({ name }) => name));
    const words = log.map((line) => line.split(" ")[0]);
    expect(new Set(words)).toEqual(new Set(["kill", "restart", "pause", "resume"]));
    for (let at = 0; at < log.length; at += 2) {
      expect(log[at]?.split(" ")[1]).toBe(log[at + 1]?.split(" ")[1] ?? "");
      expect(words[at + 1]).toBe(words[at] === "kill" ? "restart" : "resume");
    }
    expect(verdictOf(recorded)).toBe("linearizable");
  });

  test("that cannot be done fail the workload", async () => {
    const broken = { name: "broken", afterOperations: 5, run: () => Promise.reject(new Error("no such process")) };
    const running = runWorkload(new DoubleCluster(1, "nothing").targets(1), { ...WORKLOAD, faults: [broken] });
    expect(running).rejects.toThrow("no such process");
    await running.catch(() => {});
  });

  test("need room", () => {
    expect(() => planFaults(nodes, { seed: 1, operations: 10, hits: 6 })).toThrow(RangeError);
  });
});
