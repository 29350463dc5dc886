import { describe, expect, test } from "bun:test";
import { Transcript } from "../cluster/transcript.ts";

/** `UPDATE_GOLDEN=1 bun test test/golden` rewrites the files; the difference is then reviewed as text. */
const isUpdate = process.env["UPDATE_GOLDEN"] === "1";

const payload = (text: string): Uint8Array => new TextEncoder().encode(text);

const SCENES: Readonly<Record<string, () => Transcript>> = {
  "normal-case": () => {
    const transcript = new Transcript();
    const { cluster } = transcript;
    cluster.start();
    cluster.run(100);
    for (let round = 0; round < 4; round++) {
      transcript.note(`a client of r${round} submits`);
      cluster.host(round).submit([payload(`request ${round}`)]);
      cluster.run(cluster.schedule.nowMs + 100);
    }
    transcript.note(`quiet: ${cluster.runUntilQuiet(10_000)}`);
    return transcript;
  },
  "view-change": () => {
    const transcript = new Transcript();
    const { cluster } = transcript;
    cluster.start();
    cluster.run(100);
    transcript.note("commits are lost; a client of r2 submits");
    cluster.passes = (_, __, packet) => packet.kind !== "message" || packet.body[0] !== 2;
    cluster.host(2).submit([payload("prepared in view 0")]);
    cluster.run(160);
    transcript.note("the leader r0 stops for good; commits are carried again");
    cluster.host(0).crash();
    cluster.passes = (from, to, packet) =>
      from !== 0 && to !== 0 && (packet.kind !== "message" || packet.body[0] !== 2 || cluster.schedule.nowMs > 400);
    cluster.run(2_000);
    transcript.note(
      `executed at r1, r2, r3: ${[1, 2, 3].map((index) => cluster.host(index).disk.execution.sequence).join(" ")}`,
    );
    return transcript;
  },
  restart: () => {
    const transcript = new Transcript();
    const { cluster } = transcript;
    cluster.start();
    cluster.run(100);
    transcript.note("a client of r1 submits; r3 stops right after its prepare");
    cluster.host(1).submit([payload("request")]);
    const { observe } = cluster;
    let prepared = false;
    cluster.observe = (host, effect) => {
      observe.call(cluster, host, effect);
      if (host.self !== 3 || effect.kind !== "broadcast" || effect.message.kind !== "prepare" || prepared) return;
      prepared = true;
      host.crashIn = 0;
    };
    cluster.run(300);
    transcript.note("r3 comes back");
    cluster.restart(cluster.host(3));
    transcript.note(`quiet: ${cluster.runUntilQuiet(10_000)}, r3 executed ${cluster.host(3).disk.execution.sequence}`);
    return transcript;
  },
};

describe("golden transcripts of PBFT", () => {
  for (const [name, play] of Object.entries(SCENES)) {
    test(`${name}: what four replicas write and say, in order`, async () => {
      const file = new URL(`./pbft/${name}.txt`, import.meta.url);
      const text = play().text();
      if (isUpdate) await Bun.write(file, text);
      expect(text).toBe(await Bun.file(file).text());
    });
  }
});
