import { describe, expect, test } from "bun:test";
import type { NodeId } from "../crypto/identity.ts";
import { Proposals } from "./proposals.ts";
import { NodeError, type ProposedChange } from "./service.ts";

/** What is said is never ordered here; time passes when the test says so. */
function silent(isHeard = true): { readonly proposals: Proposals; readonly said: string[]; readonly pass: () => void } {
  const said: string[] = [];
  const timers = new Set<() => void>();
  const proposals = new Proposals({
    clock: {
      nowMs: () => 0,
      monotonicMs: () => 0,
      defer: () => undefined,
      setTimer: (_atMs, callback) => {
        timers.add(callback);
        return () => timers.delete(callback);
      },
    },
    say: ({ kind }) => {
      said.push(kind);
      return isHeard;
    },
  });
  const pass = (): void => {
    for (const callback of timers) callback();
  };
  return { proposals, said, pass };
}

function dismissal(index: number): ProposedChange {
  return { kind: "dismiss", nodeId: index.toString(16).padStart(64, "0") as NodeId, waitForSuccessor: false };
}

const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  await work.catch((error: unknown) => (error instanceof NodeError ? error.code : error));

describe("words that wait to be ordered", () => {
  test("are given up after a while, and may be said again", async () => {
    const { proposals, said, pass } = silent();
    const first = codeOf(proposals.propose(dismissal(1)));
    pass();
    expect(await first).toBe("timeout");
    const second = codeOf(proposals.propose(dismissal(1)));
    pass();
    expect(await second).toBe("timeout");
    expect(said).toEqual(["dismiss", "dismiss"]);
  });

  test("fail with the node that said them", async () => {
    const { proposals } = silent();
    const waiting = [1, 2].map((index) => codeOf(proposals.propose(dismissal(index))));
    proposals.failAll(new NodeError("stopping", "the node stops"));
    expect(await Promise.all(waiting)).toEqual(["stopping", "stopping"]);
  });

  test("are at most sixteen", async () => {
    const { proposals, said, pass } = silent();
    const waiting = Array.from({ length: 16 }, (_, index) => codeOf(proposals.propose(dismissal(index))));
    expect(await codeOf(proposals.propose(dismissal(16)))).toBe("overloaded");
    expect(said).toHaveLength(16);
    pass();
    await Promise.all(waiting);
    const next = codeOf(proposals.propose(dismissal(16)));
    pass();
    expect(await next).toBe("timeout");
  });

  test("are refused where the lane takes none", async () => {
    const { proposals } = silent(false);
    expect(await codeOf(proposals.propose(dismissal(1)))).toBe("not-ready");
  });
});
