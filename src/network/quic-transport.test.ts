import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { readdirSync, readlinkSync } from "node:fs";
import { connect } from "node:quic";
import type { NodeId } from "../crypto/identity.ts";
import { generateKeyPair, type NodeKeyPair } from "../crypto/key-pair.ts";
import { importPublicKeys } from "../crypto/public-keys.ts";
import { createVerifier } from "../crypto/verifier.ts";
import { type Hash, ZERO_HASH } from "../lib/hash.ts";
import type { Lane, PeerRole } from "../node/ports.ts";
import { systemClock } from "../node/system-clock.ts";
import type { PeerAddress } from "./dialer.ts";
import { createQuicTransport, type QuicTransport } from "./quic-transport.ts";

const verifier = createVerifier({ hybrid: true });
const open: QuicTransport[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()));
});

interface Peer {
  readonly transport: QuicTransport;
  readonly keys: NodeKeyPair;
  readonly address: PeerAddress;
  readonly frames: { peer: NodeId; lane: Lane; frame: Uint8Array }[];
  /** What happened so far: `connected`, `disconnected`, `failed <code>`, `frame`. */
  readonly events: string[];
  /** Resolves when `events` has `count` of these. */
  until(event: string, count?: number): Promise<void>;
}

async function peer(
  options: {
    readonly dial?: readonly PeerAddress[];
    readonly keys?: NodeKeyPair;
    readonly genesis?: Hash;
    readonly admit?: (peer: NodeId) => PeerRole | null;
    readonly answer?: (body: Uint8Array) => Promise<Uint8Array>;
    readonly port?: number;
  } = {},
): Promise<Peer> {
  const keys = options.keys ?? generateKeyPair({ hybrid: true });
  const events: string[] = [];
  const frames: Peer["frames"] = [];
  const waiting = new Set<() => void>();
  const note = (event: string): void => {
    events.push(event);
    for (const check of waiting) check();
  };
  const transport = createQuicTransport({
    nodeId: keys.nodeId,
    publicKeys: keys.publicKeys,
    sign: (message) => keys.sign(message),
    verify: (publicKeys, message, signature) => verifier.verify(importPublicKeys(publicKeys), message, signature),
    hybrid: true,
    genesis: options.genesis ?? ZERO_HASH,
    listen: { host: "127.0.0.1", port: options.port ?? 0 },
    peers: options.dial ?? [],
    admit: options.admit ?? (() => "validator"),
    maxPeers: 8,
    clock: systemClock,
    entropy: { bytes: (count) => Uint8Array.from(randomBytes(count)) },
    metrics: {
      onSent: () => undefined,
      onReceived: () => undefined,
      onDropped: () => undefined,
      onConnection: () => undefined,
      onHandshakeFailure: (code) => note(`failed ${code}`),
      onRoundTrip: () => undefined,
    },
  });
  open.push(transport);
  await transport.start({
    onPeerConnected: () => note("connected"),
    onPeerDisconnected: () => note("disconnected"),
    onFrame: (from, lane, frame) => {
      frames.push({ peer: from, lane, frame });
      note("frame");
    },
    onRequest: (_from, body) => options.answer?.(body) ?? Promise.resolve(body),
  });
  const address = { nodeId: keys.nodeId, host: "127.0.0.1", port: transport.address?.port ?? 0 };
  const until = (event: string, count = 1): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => {
      if (events.filter((seen) => seen === event).length < count) return;
      waiting.delete(check);
      resolve();
    };
    waiting.add(check);
    check();
    return promise;
  };
  return { transport, keys, address, frames, events, until };
}

async function connected(): Promise<readonly [Peer, Peer]> {
  const listener = await peer();
  const dialer = await peer({ dial: [listener.address] });
  await Promise.all([listener.until("connected"), dialer.until("connected")]);
  return [dialer, listener];
}

describe("two authenticated peers", () => {
  test("get each other's frames, in order on each lane", async () => {
    const [dialer, listener] = await connected();
    for (let index = 0; index < 200; index++) {
      dialer.transport.send(listener.keys.nodeId, "consensus", Uint8Array.of(1, index));
      dialer.transport.send(listener.keys.nodeId, "dissemination", Uint8Array.of(2, index));
      listener.transport.send(dialer.keys.nodeId, "consensus", Uint8Array.of(3, index));
    }
    await Promise.all([listener.until("frame", 400), dialer.until("frame", 200)]);
    const lane = (at: Peer, name: Lane): readonly (number | undefined)[] =>
      at.frames.filter((seen) => seen.lane === name).map(({ frame }) => frame[1]);
    const ascending = Array.from({ length: 200 }, (_, index) => index);
    expect(lane(listener, "consensus")).toEqual(ascending);
    expect(lane(listener, "dissemination")).toEqual(ascending);
    expect(lane(dialer, "consensus")).toEqual(ascending);
    expect(listener.frames.every(({ peer: from }) => from === dialer.keys.nodeId)).toBe(true);
  });

  test("pass a frame of 10 MB whole", async () => {
    const [dialer, listener] = await connected();
    const frame = Uint8Array.from(randomBytes(10_000_000));
    expect(dialer.transport.send(listener.keys.nodeId, "consensus", frame)).toBe("queued");
    await listener.until("frame");
    expect(Buffer.compare(listener.frames[0]?.frame ?? new Uint8Array(0), frame)).toBe(0);
  }, 20_000);

  test("answer a hundred questions at once, and say when they cannot", async () => {
    const listener = await peer({
      answer: (body) => (body[0] === 255 ? Promise.reject(new Error("no")) : Promise.resolve(body)),
    });
    const dialer = await peer({ dial: [listener.address] });
    await dialer.until("connected");
    const ask = (byte: number): Promise<Uint8Array> =>
      dialer.transport.request(listener.keys.nodeId, Uint8Array.of(byte), { timeoutMs: 5_000 });
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(Array.from({ length: 25 }, (_, index) => ask(index)));
      expect(answers.map((answer) => answer[0])).toEqual(Array.from({ length: 25 }, (_, index) => index));
    }
    expect(ask(255)).rejects.toMatchObject({ code: "refused-by-peer" });
  });

  test("a question to a peer that says nothing ends by its own time-out", async () => {
    const listener = await peer({ answer: () => new Promise(() => undefined) });
    const dialer = await peer({ dial: [listener.address] });
    await dialer.until("connected");
    const question = dialer.transport.request(listener.keys.nodeId, Uint8Array.of(1), { timeoutMs: 100 });
    expect(question).rejects.toMatchObject({ code: "timeout" });
  });

  test("keep one connection, however both dial", async () => {
    const first = await peer();
    const keys = generateKeyPair({ hybrid: true });
    const second = await peer({ keys, dial: [first.address] });
    // Before the third one dials: who has a connection already does not dial.
    await second.until("connected");
    // The first one dials too, from a socket of its own.
    const third = await peer({ keys: first.keys, dial: [second.address] });
    await third.until("connected");
    await second.until("connected", 2);
    expect(second.transport.peers().length).toBe(1);
  });

  test("notice a clean end at once, and find each other again", async () => {
    const listener = await peer();
    const dialer = await peer({ dial: [listener.address] });
    await dialer.until("connected");
    await listener.transport.close();
    await dialer.until("disconnected");
    await peer({ keys: listener.keys, port: listener.address.port });
    await dialer.until("connected", 2);
    expect(dialer.transport.peers()[0]?.nodeId).toBe(listener.keys.nodeId);
  }, 20_000);
});

describe("who does not belong here", () => {
  test("a node of another network is refused on both sides", async () => {
    const listener = await peer();
    const dialer = await peer({ dial: [listener.address], genesis: "22".repeat(32) as Hash });
    await Promise.all([listener.until("failed genesis"), dialer.until("failed genesis")]);
    expect([...listener.events, ...dialer.events]).not.toContain("connected");
  });

  test("a node outside the set is refused, or an observer where that is wanted", async () => {
    const strict = await peer({ admit: () => null });
    const refused = await peer({ dial: [strict.address] });
    await refused.until("failed not-admitted");
    expect(strict.events).not.toContain("connected");
    const lenient = await peer({ admit: () => "observer" });
    const observer = await peer({ dial: [lenient.address] });
    await observer.until("connected");
    expect(lenient.transport.peers()[0]?.role).toBe("observer");
  });

  test("another node than the one that was dialed is refused", async () => {
    const listener = await peer();
    const stranger = generateKeyPair({ hybrid: true }).nodeId;
    const dialer = await peer({ dial: [{ ...listener.address, nodeId: stranger }] });
    await dialer.until("failed unexpected-identity");
    expect(dialer.events).not.toContain("connected");
  });

  // Sockets are counted in /proc, which other systems do not have.
  test.skipIf(process.platform !== "linux")(
    "a dial that fails leaves no socket behind",
    async () => {
      const other = await peer();
      const wrong = { ...other.address, nodeId: generateKeyPair({ hybrid: true }).nodeId };
      const before = sockets();
      const dialer = await peer({ dial: [wrong] });
      await dialer.until("failed unexpected-identity", 4);
      // Its own, that of a dial under way, and one that is just being closed.
      expect(sockets() - before).toBeLessThanOrEqual(3);
    },
    20_000,
  );

  test("a client with X25519 alone is refused by TLS", async () => {
    const { address, events } = await peer();
    const session = await connect(`127.0.0.1:${address.port}`, {
      alpn: "cretoai/1",
      groups: "X25519",
      servername: "cretoai",
      verifyPeer: "manual",
      reuseEndpoint: false,
      onerror: () => undefined,
    });
    session.closed.catch(() => undefined);
    const refusal: unknown = await session.opened.then(
      () => "opened",
      (error: unknown) => String(error),
    );
    expect(refusal).toContain("TLS alert 40");
    expect(events).not.toContain("connected");
  });

  test("a client that only sends garbage never gets a frame through", async () => {
    const { address, events, frames, until } = await peer();
    const session = await connect(`127.0.0.1:${address.port}`, {
      alpn: "cretoai/1",
      groups: "X25519MLKEM768",
      servername: "cretoai",
      verifyPeer: "manual",
      reuseEndpoint: false,
      onerror: () => undefined,
    });
    session.closed.catch(() => undefined);
    await session.opened;
    const lane = await session.createUnidirectionalStream();
    lane.onerror = () => undefined;
    lane.closed.catch(() => undefined);
    lane.writer.writeSync(Uint8Array.of(1, 3, 0, 0, 0, 9, 9, 9));
    const handshake = await session.createBidirectionalStream();
    handshake.onerror = () => undefined;
    handshake.closed.catch(() => undefined);
    handshake.writer.writeSync(Uint8Array.from(randomBytes(500)));
    await Promise.race([until("failed protocol"), until("failed connection")]);
    expect(frames).toEqual([]);
    expect(events).not.toContain("connected");
  });
});

describe("a connection ended by this node", () => {
  test("comes back by itself while the peer is welcome", async () => {
    const [dialer, listener] = await connected();
    dialer.transport.disconnect(listener.keys.nodeId, "a test");
    await Promise.all([dialer.until("disconnected"), listener.until("disconnected")]);
    await Promise.all([dialer.until("connected", 2), listener.until("connected", 2)]);
  });

  test("stays away while the peer is not: it is neither dialed nor let in, and comes back when it is welcome again", async () => {
    let isBanned = false;
    const other = await peer();
    const node = await peer({ dial: [other.address], admit: () => (isBanned ? null : "validator") });
    other.transport.setAddress(node.keys.nodeId, `127.0.0.1:${node.address.port}`);
    await node.until("connected");
    isBanned = true;
    node.transport.disconnect(other.keys.nodeId, "banned");
    await other.until("failed not-admitted");
    expect(node.transport.peers()).toEqual([]);
    isBanned = false;
    await node.until("connected", 2);
    expect(node.events.filter((event) => event === "connected").length).toBe(2);
  });

  test("of a peer that is forgotten is not dialed again", async () => {
    const [dialer, listener] = await connected();
    dialer.transport.forget(listener.keys.nodeId);
    await listener.until("disconnected");
    // Another peer is found in the meantime, by an address of the same run.
    const third = await peer();
    dialer.transport.setAddress(third.keys.nodeId, `127.0.0.1:${third.address.port}`);
    await third.until("connected");
    expect(listener.events.filter((event) => event === "connected").length).toBe(1);
  });
});

describe("a UDP port that another program has", () => {
  test("is refused at the start, in words, and not listened on in silence", async () => {
    const other = createSocket("udp4");
    try {
      const port = await new Promise<number>((resolve) => {
        other.bind(0, "127.0.0.1", () => resolve(other.address().port));
      });
      await expect(peer({ port })).rejects.toThrow(
        new RegExp(`^cannot listen on UDP 127\\.0\\.0\\.1:${port}: .*Bind failure.*choose another quic_port`),
      );
    } finally {
      other.close();
    }
  });
});

describe("an address learned at run time", () => {
  test("is dialed, and replaces the one that was known", async () => {
    const listener = await peer();
    const wrong = { ...listener.address, port: 9 };
    const dialer = await peer({ dial: [wrong] });
    dialer.transport.setAddress(listener.keys.nodeId, `127.0.0.1:${listener.address.port}`);
    await Promise.all([listener.until("connected"), dialer.until("connected")]);
  });

  test("is refused in words where it is none", async () => {
    const { transport, keys } = await peer();
    for (const address of ["", "nowhere", "127.0.0.1:0", "127.0.0.1:65536", "::1:9000", "a b:1"]) {
      expect(() => transport.setAddress(keys.nodeId, address)).toThrow(/is no address: write host:port/);
    }
    expect(() => transport.setAddress(keys.nodeId, "[::1]:9000")).not.toThrow();
  });
});

/** Sockets of this process. */
function sockets(): number {
  const links = readdirSync("/proc/self/fd").map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      // It was closed meanwhile.
      return "";
    }
  });
  return links.filter((link) => link.startsWith("socket:")).length;
}
