import { describe, expect, test } from "bun:test";
import type { HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import { HotStuffTranscript } from "./hotstuff-transcript.ts";

/** `UPDATE_GOLDEN=1 bun test test/golden` rewrites the files; the difference is then reviewed as text. */
const isUpdate = process.env["UPDATE_GOLDEN"] === "1";

const payload = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Two requests, one after the other is final. */
function normalCase(transcript: HotStuffTranscript): HotStuffTranscript {
  const { cluster } = transcript;
  cluster.start();
  cluster.run(100);
  for (const round of [0, 1]) {
    transcript.note(`a client of r${round} submits`);
    cluster.host(round).submit([payload(`request ${round}`)]);
    transcript.note(`quiet: ${cluster.runUntilQuiet(10_000)}`);
  }
  return transcript;
}

/** One that votes go to and that leads is down: what a quorum gives up, and who leads afterwards. */
function leaderDown(transcript: HotStuffTranscript): HotStuffTranscript {
  const { cluster } = transcript;
  cluster.start();
  cluster.run(100);
  transcript.note("r2 stops for good; a client of r0 submits");
  cluster.host(2).crash();
  cluster.host(0).submit([payload("request")]);
  cluster.run(3_000);
  const executed = [0, 1, 3].map((index) => cluster.host(index).disk.execution.sequence);
  transcript.note(`executed at r0, r1, r3: ${executed.join(" ")}`);
  return transcript;
}

const SCENES: Readonly<Record<string, () => HotStuffTranscript>> = {
  "three-phases": () => normalCase(new HotStuffTranscript({ phases: 3, voteRoute: "leader" })),
  "two-phases": () => normalCase(new HotStuffTranscript({ phases: 2, voteRoute: "leader" })),
  "votes-to-all": () => normalCase(new HotStuffTranscript({ phases: 3, voteRoute: "all" })),
  "leader-down-round-robin": () =>
    leaderDown(new HotStuffTranscript({ phases: 2, voteRoute: "leader", leaders: "round-robin" })),
  "leader-down-reputation": () =>
    leaderDown(new HotStuffTranscript({ phases: 2, voteRoute: "leader", leaders: "reputation" })),
  restart: () => {
    const transcript = new HotStuffTranscript({ phases: 2, voteRoute: "leader" });
    const { cluster } = transcript;
    cluster.start();
    cluster.run(100);
    transcript.note("a client of r1 submits; r3 stops right after its first vote");
    cluster.host(1).submit([payload("request")]);
    const { observe } = cluster;
    let voted = false;
    cluster.observe = (host, effect) => {
      observe.call(cluster, host, effect);
      if (host.self !== 3 || effect.kind !== "send" || voted) return;
      if ((effect.message as unknown as HotStuffMessage).kind !== "vote") return;
      voted = true;
      host.crashIn = 0;
    };
    cluster.run(400);
    transcript.note("r3 comes back");
    cluster.restart(cluster.host(3));
    transcript.note(`quiet: ${cluster.runUntilQuiet(20_000)}, r3 executed ${cluster.host(3).disk.execution.sequence}`);
    return transcript;
  },
};

describe("golden transcripts of HotStuff", () => {
  for (const [name, play] of Object.entries(SCENES)) {
    test(`${name}: what the replicas write and say, in order`, async () => {
      const file = new URL(`./hotstuff/${name}.txt`, import.meta.url);
      const text = play().text();
      if (isUpdate) await Bun.write(file, text);
      expect(text).toBe(await Bun.file(file).text());
    });
  }
});
