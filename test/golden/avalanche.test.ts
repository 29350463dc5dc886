import { describe, expect, test } from "bun:test";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import type { Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import { DagTranscript, spend } from "./dag-transcript.ts";

/** `UPDATE_GOLDEN=1 bun test test/golden` rewrites the files; the difference is then reviewed as text. */
const isUpdate = process.env["UPDATE_GOLDEN"] === "1";

const SCENES: Readonly<Record<string, () => DagTranscript>> = {
  "happy-path": () => {
    const transcript = new DagTranscript();
    const first = transcript.submit(0, "A", spend("one"), spend("two"));
    transcript.run(300);
    const second = transcript.submit(1, "B", spend("three"));
    transcript.run(1_000);
    transcript.fates(first, second);
    return transcript;
  },
  "double-spend": () => {
    const transcript = new DagTranscript();
    const left = transcript.submit(0, "A", spend("to me", "coin"), spend("other"));
    const right = transcript.submit(1, "B", spend("other"), spend("to you", "coin"));
    transcript.run(4_000);
    transcript.fates(left, right);
    const child = transcript.submit(1, "C", spend("the lane goes on"));
    transcript.run(1_000);
    transcript.fates(child);
    return transcript;
  },
  fork: () => {
    const transcript = new DagTranscript();
    const { cluster } = transcript;
    const self = 3 as ValidatorIndex;
    const member = cluster.member(self);
    const base = { nonce: 0 as Nonce, tip: cluster.network.genesis };
    const made = { nowMs: cluster.nowMs, second: cluster.network.genesis };
    const left = transcript.name(member.formAfter(base, [spend("left")], made), "A");
    const right = transcript.name(member.formAfter(base, [spend("right")], made), "B");
    transcript.note("v3 forks: A goes to v0 and v1, B to v2 and itself; v2 builds C, on its own lane");
    for (const to of [0, 1] as readonly number[]) cluster.arrive(cluster.member(to as ValidatorIndex), [left]);
    for (const to of [2, 3] as readonly number[]) cluster.arrive(cluster.member(to as ValidatorIndex), [right]);
    const child = transcript.submit(2, "C", spend("virtuous"));
    transcript.run(9_000);
    transcript.fates(left, right, child);
    return transcript;
  },
  "one-silent": () => {
    const transcript = new DagTranscript();
    transcript.note("v3 stops");
    transcript.cluster.crash(3 as ValidatorIndex);
    const made = transcript.submit(0, "A", spend("three are enough"));
    transcript.run(3_000);
    transcript.fates(made);
    transcript.note("v3 comes back, and is told");
    transcript.cluster.restart(3 as ValidatorIndex);
    transcript.run(2_000);
    transcript.fates(made);
    return transcript;
  },
  "report-and-resolution": () => {
    // Patience ends before the halves have heard of each other's spend: two accepts for each, and no quorum for either.
    const params = deriveParams(4, { beta: 3, concurrentPolls: 1, patienceMs: 50, resolveAfterMs: 600 });
    const transcript = new DagTranscript({ params });
    const { cluster } = transcript;
    const [left, right] = [0, 1].map((index) => {
      const made = cluster.member(index as ValidatorIndex).form([spend(`to ${index}`, "coin")], cluster.nowMs);
      return transcript.name(made, index === 0 ? "A" : "B");
    }) as [HeldBundle, HeldBundle];
    transcript.note("v0 makes A, which v2 gets; v1 makes B, which v3 gets");
    for (const to of [0, 2] as readonly number[]) cluster.arrive(cluster.member(to as ValidatorIndex), [left]);
    for (const to of [1, 3] as readonly number[]) cluster.arrive(cluster.member(to as ValidatorIndex), [right]);
    transcript.run(3_000);
    transcript.fates(left, right);
    return transcript;
  },
  restart: () => {
    const transcript = new DagTranscript();
    const { cluster } = transcript;
    transcript.note("v2 stops right after it wrote its first vote, before it said it");
    const member = cluster.member(2 as ValidatorIndex);
    const write = member.write.bind(member);
    let hasWritten = false;
    member.write = (writes) => {
      write(writes);
      if (hasWritten) return;
      hasWritten = true;
      member.effectsLeft = 0;
    };
    const made = transcript.submit(0, "A", spend("one", "coin"));
    transcript.run(400);
    transcript.note(`v2 is ${member.isDown ? "down" : "up"} with ${member.disk.size} row; it comes back`);
    cluster.restart(member.index);
    transcript.run(3_000);
    transcript.fates(made);
    return transcript;
  },
};

describe("golden transcripts of Avalanche", () => {
  for (const [name, play] of Object.entries(SCENES)) {
    test(`${name}: what four validators write, say and decide, in order`, async () => {
      const file = new URL(`./avalanche/${name}.txt`, import.meta.url);
      const text = play().text();
      if (isUpdate) await Bun.write(file, text);
      expect(text).toBe(await Bun.file(file).text());
    });
  }
});
