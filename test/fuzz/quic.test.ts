import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ZERO_HASH } from "../../src/lib/hash.ts";
import { QUESTION_BYTES_MAX } from "../../src/network/limits.ts";
import { messageHeader } from "../../src/network/message-assembler.ts";
import { corpusOf } from "./corpus.ts";
import { Fuzzer } from "./fuzzer.ts";
import { ended, QuicAttacker, reset, write } from "./quic-attacker.ts";
import { HonestTraffic, QuicVictim } from "./quic-victim.ts";
import { Random } from "./random.ts";
import { machineOf } from "./stream-targets.ts";
import { targetNamed } from "./targets.ts";

const PATIENCE_MS = 60_000;

/** What all attacks together may leave in this process, attackers and honest peers included. */
const RSS_GROWTH_BYTES_MAX: number = 512 * 1024 * 1024;

const HOSTILE_HEADER = Uint8Array.of(0xff, 0xff, 0xff, 0xff);
const [CONSENSUS, DISSEMINATION] = [Uint8Array.of(1), Uint8Array.of(2)];

const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
const random = new Random(seed);
let victim: QuicVictim;
let peer: QuicVictim;
let traffic: HonestTraffic;
let rssBefore = 0;
const attackers: QuicAttacker[] = [];

function noise(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => random.below(256));
}

async function stranger(): Promise<QuicAttacker> {
  const attacker = await QuicAttacker.connected(victim.address.port);
  attackers.push(attacker);
  return attacker;
}

async function member(): Promise<QuicAttacker> {
  const attacker = await QuicAttacker.authenticated(victim.address.port, ZERO_HASH);
  attackers.push(attacker);
  return attacker;
}

function hello(): Uint8Array {
  const [effect] = machineOf("dialer").start();
  if (effect?.kind !== "send") throw new Error("a dialer speaks first");
  return effect.bytes;
}

beforeAll(async () => {
  victim = await QuicVictim.started({ isHasty: true });
  peer = await QuicVictim.started({ dial: victim.address });
  traffic = await HonestTraffic.between(victim, peer);
  await traffic.passes(20);
  Bun.gc(true);
  rssBefore = process.memoryUsage().rss;
}, PATIENCE_MS);

afterAll(async () => {
  traffic.stop();
  for (const attacker of attackers) attacker.end();
  await Promise.all([victim.transport.close(), peer.transport.close()]);
});

/** Before the handshake: each opens what it likes, and is closed for it. */
const STRANGERS: Readonly<Record<string, (attacker: QuicAttacker) => Promise<void>>> = {
  "says nothing": async () => undefined,
  "opens a stream and leaves it": async (attacker) => {
    write(await attacker.bidi(), new Uint8Array(1));
  },
  "sends noise": async (attacker) => {
    write(await attacker.bidi(), noise(random.between(1, 60_000)));
  },
  "claims 4 GB": async (attacker) => {
    write(await attacker.bidi(), HOSTILE_HEADER, noise(100));
  },
  "sends half a hello": async (attacker) => {
    const message = hello();
    write(await attacker.bidi(), messageHeader(message.length), message.subarray(0, random.below(message.length)));
  },
  "sends a hello and no more": async (attacker) => {
    const message = hello();
    write(await attacker.bidi(), messageHeader(message.length), message);
  },
  "sends two hellos": async (attacker) => {
    const message = hello();
    const framed = Buffer.concat([messageHeader(message.length), message]);
    write(await attacker.bidi(), framed, framed);
  },
  "resets a hello": async (attacker) => {
    const stream = await attacker.bidi();
    write(stream, messageHeader(3_000), noise(200));
    reset(stream);
  },
  "begins with a lane": async (attacker) => {
    write(await attacker.uni(), CONSENSUS, messageHeader(5), noise(5));
  },
  "sends keep-alives for ever": async (attacker) => {
    const stream = await attacker.bidi();
    for (let count = 0; count < 200; count++) write(stream, new Uint8Array(4_000));
  },
  "opens streams of all kinds": async (attacker) => {
    for (let count = 0; count < 100; count++) {
      write(await attacker.bidi(), noise(random.between(1, 500)));
      if (count < 16) write(await attacker.uni(), noise(random.between(1, 500)));
    }
  },
};

describe(`before the handshake (seed ${seed})`, () => {
  for (const [name, attack] of Object.entries(STRANGERS)) {
    test(
      `a stranger that ${name} is closed, and honest frames pass`,
      async () => {
        const attacker = await stranger();
        await Promise.all([attack(attacker).catch(() => undefined), traffic.passes(10)]);
        await attacker.closed;
        await traffic.passes(10);
        expect(victim.transport.peers().map(({ nodeId }) => nodeId)).toEqual([peer.address.nodeId]);
      },
      PATIENCE_MS,
    );
  }

  for (const kind of ["uni", "bidi"] as const) {
    test(
      `a stranger's second stream (${kind}) is a breach, whatever the first one does`,
      async () => {
        const attacker = await stranger();
        const before = victim.failures.length;
        write(await attacker.bidi(), messageHeader(0));
        const second = await attacker[kind]();
        for (let count = 0; count < 16; count++) write(second, new Uint8Array(64 * 1024));
        await attacker.closed;
        // Not "connection", which is what the end of the handshake's time is called.
        expect(victim.failures.slice(before)).toEqual(["protocol"]);
        await traffic.passes(10);
      },
      PATIENCE_MS,
    );
  }

  test(
    "strangers of all kinds at once are closed, and honest frames pass",
    async () => {
      const attacks = [...Object.values(STRANGERS), ...Object.values(STRANGERS)];
      const crowd = attacks.map(async (attack) => {
        const attacker = await stranger();
        await attack(attacker).catch(() => undefined);
        await attacker.closed;
      });
      await traffic.passes(50);
      await Promise.all(crowd);
      await traffic.passes(10);
    },
    PATIENCE_MS,
  );
});

/** After a correct handshake: what a lane or a question may not be. Each ends the connection. */
const BREACHES: Readonly<Record<string, (attacker: QuicAttacker) => Promise<void>>> = {
  "claims a frame of 4 GB": async (attacker) => {
    write(await attacker.uni(), CONSENSUS, HOSTILE_HEADER);
  },
  "opens a lane of no kind": async (attacker) => {
    write(await attacker.uni(), Uint8Array.of(random.between(3, 255)));
  },
  "opens a lane twice": async (attacker) => {
    for (let count = 0; count < 2; count++) write(await attacker.uni(), DISSEMINATION, new Uint8Array(4));
  },
  "resets a lane within a frame": async (attacker) => {
    const lane = await attacker.uni();
    write(lane, CONSENSUS, messageHeader(2), noise(2), messageHeader(9_000), noise(100));
    await victim.until(() => victim.transport.peers().length > 1);
    await traffic.passes(5);
    reset(lane);
  },
  "ends a lane within a frame": async (attacker) => {
    const lane = await attacker.uni();
    write(lane, CONSENSUS, messageHeader(9_000), noise(100));
    lane.writer.endSync();
  },
};

describe(`after the handshake (seed ${seed})`, () => {
  for (const [name, attack] of Object.entries(BREACHES)) {
    test(
      `a peer that ${name} is closed, and honest frames pass`,
      async () => {
        const attacker = await member();
        await Promise.all([attack(attacker), traffic.passes(10)]);
        await attacker.closed;
        await traffic.passes(10);
      },
      PATIENCE_MS,
    );
  }

  test(
    "mutated frames arrive as they are, one for one, and honest frames pass",
    async () => {
      const fuzzer = new Fuzzer(targetNamed("frame"), seed);
      for (const { bytes } of corpusOf("frame")) await fuzzer.seed(bytes);
      const attacker = await member();
      const lane = await attacker.uni();
      write(lane, CONSENSUS);
      const before = [...victim.frames.values()].reduce((sum, count) => sum + count, 0) - victim.framesFrom(peer);
      let sent = 0;
      while (sent < 60) {
        const frame = fuzzer.next();
        if (frame.length === 0 || frame.length > 8_000) continue;
        if (!write(lane, messageHeader(frame.length), frame)) await traffic.passes(1);
        else sent += 1;
      }
      await victim.until(() => {
        const all = [...victim.frames.values()].reduce((sum, count) => sum + count, 0) - victim.framesFrom(peer);
        return all - before >= 60;
      });
      await traffic.passes(10);
      attacker.end();
    },
    PATIENCE_MS,
  );

  test(
    "questions that fall silent are ended by the victim, and honest frames pass",
    async () => {
      const attacker = await member();
      const streams = await Promise.all(Array.from({ length: 60 }, () => attacker.bidi()));
      for (const [index, stream] of streams.entries()) {
        write(stream, index % 2 === 0 ? messageHeader(1_000) : new Uint8Array(1));
      }
      await traffic.passes(20);
      await Promise.all(streams.map(ended));
      await traffic.passes(10);
      attacker.end();
    },
    PATIENCE_MS,
  );

  test(
    "hostile questions are ended one by one, and the same peer's good question is answered",
    async () => {
      const attacker = await member();
      for (const hostile of [HOSTILE_HEADER, messageHeader(QUESTION_BYTES_MAX + 1), noise(3)]) {
        const stream = await attacker.bidi();
        write(stream, hostile);
        if (hostile.length === 3) stream.writer.endSync();
        await Promise.race([ended(stream), attacker.closed]);
        expect(attacker.session.destroyed).toBe(false);
      }
      const inTheMiddle = await attacker.bidi();
      write(inTheMiddle, messageHeader(5_000), noise(50));
      reset(inTheMiddle);
      const good = await attacker.bidi();
      write(good, messageHeader(3), Uint8Array.of(7, 8, 9));
      good.writer.endSync();
      const answer: number[] = [];
      for await (const chunks of good) for (const chunk of chunks) answer.push(...chunk);
      expect(answer).toEqual([4, 0, 0, 0, 0, 7, 8, 9]);
      await traffic.passes(10);
      attacker.end();
    },
    PATIENCE_MS,
  );

  test(
    "a frame in crumbs that never ends is waited for, and honest frames pass",
    async () => {
      const attacker = await member();
      const lane = await attacker.uni();
      write(lane, CONSENSUS, messageHeader(16 * 1024 * 1024));
      for (let count = 0; count < 200; count++) {
        write(lane, noise(1));
        // A frame to and fro in between, so that each crumb is a packet of its own.
        await traffic.passes(1);
      }
      expect(attacker.session.destroyed).toBe(false);
      attacker.end();
    },
    PATIENCE_MS,
  );

  test("the largest question is answered, and one byte more is not asked", async () => {
    const ask = async (size: number): Promise<number> => {
      const to = victim.address.nodeId;
      return (await peer.transport.request(to, new Uint8Array(size), { timeoutMs: PATIENCE_MS })).length;
    };
    expect(await ask(QUESTION_BYTES_MAX)).toBe(QUESTION_BYTES_MAX);
    await expect(ask(QUESTION_BYTES_MAX + 1)).rejects.toThrow(/a question of 65537 bytes, at most 65536/);
  });
});

describe("after all attacks", () => {
  test(
    "a new honest peer comes in, the old one never left, and the memory is what it was",
    async () => {
      for (const attacker of attackers) attacker.end();
      await victim.until(() => victim.transport.peers().length === 1);
      const late = await QuicVictim.started({ dial: victim.address });
      const more = await HonestTraffic.between(victim, late);
      await Promise.all([more.passes(20), traffic.passes(20)]);
      more.stop();
      await late.transport.close();
      Bun.gc(true);
      expect(process.memoryUsage().rss - rssBefore).toBeLessThan(RSS_GROWTH_BYTES_MAX);
    },
    PATIENCE_MS,
  );
});
