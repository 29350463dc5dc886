import { describe, expect, test } from "bun:test";
import { decode, encode } from "../codec/codec.ts";
import { messageCodec as hotStuffCodec } from "../consensus/hotstuff/codec.ts";
import { messageCodec } from "../consensus/pbft/codec.ts";
import { bundleCodec } from "../dag/bundle.ts";
import type { NodeId } from "../crypto/identity.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../crypto/signature.ts";
import { ZERO_HASH } from "../lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex, View } from "../membership/ids.ts";
import { ValidatorSet } from "../membership/validator-set.ts";
import type { EngineName } from "./genesis-application.ts";
import { PeerBook } from "./peer-book.ts";
import { PeerGuard, PeerShunned } from "./peer-guard.ts";
import type { Clock, PeerInfo, Transport, TransportHandler } from "./ports.ts";
import { frameCodec, type SealedFrame } from "./wire.ts";

const ids = ["11", "22", "33", "44"].map((digits) => digits.repeat(32) as NodeId);
const [self = "" as NodeId, liar = "" as NodeId, third = "" as NodeId, fourth = "" as NodeId] = ids;
const publicKeys = { mlDsa: new Uint8Array(1), ed25519: null };
const set = new ValidatorSet(
  0 as Epoch,
  ids.map((nodeId) => ({ nodeId, publicKeys, name: nodeId.slice(0, 2) })),
);
const WALL_MS = 1_700_000_000_000;

class FakeTransport implements Transport {
  handler: TransportHandler | null = null;
  readonly connected = new Set<NodeId>();
  readonly ended: string[] = [];
  asked: NodeId[] = [];
  outcome: () => Promise<Uint8Array> = () => Promise.resolve(new Uint8Array(1));

  start(handler: TransportHandler): Promise<void> {
    this.handler = handler;
    return Promise.resolve();
  }

  connect(...peers: readonly NodeId[]): void {
    for (const peer of peers) {
      this.connected.add(peer);
      this.handler?.onPeerConnected(infoOf(peer));
    }
  }

  send(): "queued" {
    return "queued";
  }

  request(peer: NodeId): Promise<Uint8Array> {
    this.asked.push(peer);
    return this.outcome();
  }

  peers(): readonly PeerInfo[] {
    return [...this.connected].map(infoOf);
  }

  disconnect(peer: NodeId, reason: string): void {
    this.ended.push(reason);
    this.connected.delete(peer);
    this.handler?.onPeerDisconnected(peer, reason);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function infoOf(nodeId: NodeId): PeerInfo {
  return {
    nodeId,
    role: "validator",
    address: "test",
    direction: "inbound",
    connectedSinceMs: 0,
    roundTripMs: null,
    bytesSent: 0,
    bytesReceived: 0,
    queuedBytes: 0,
  };
}

async function newGuard(engine: EngineName = "pbft"): Promise<{
  readonly transport: FakeTransport;
  readonly guard: PeerGuard;
  readonly book: PeerBook;
  readonly frames: number[];
  /** Timers that wait, as milliseconds from now. */
  readonly waits: number[];
  frame(bytes: Uint8Array, lane?: "consensus" | "dissemination"): void;
  advance(ms: number): void;
}> {
  let nowMs = 0;
  const waits: number[] = [];
  const clock: Clock = {
    nowMs: () => WALL_MS + nowMs,
    monotonicMs: () => nowMs,
    setTimer: (atMs) => {
      waits.push(atMs - nowMs);
      return () => undefined;
    },
    defer: () => undefined,
  };
  const transport = new FakeTransport();
  const book = new PeerBook({
    validators: () => set,
    clock,
    log: () => undefined,
    bans: new Map(),
    save: () => Promise.resolve(),
    onViolation: () => undefined,
    onBanned: (peer, reason) => transport.disconnect(peer, reason),
  });
  const guard = new PeerGuard({ self, transport, book, clock, validators: () => set, genesis: { engine } });
  const frames: number[] = [];
  await guard.start({
    onPeerConnected: () => undefined,
    onPeerDisconnected: () => undefined,
    // As the loop does: what was sealed is looked at as soon as it is read.
    onFrame: (peer, lane, bytes) => {
      frames.push(bytes.length);
      try {
        const frame = decode(frameCodec, bytes);
        if (frame.kind === "sealed") guard.inspect(peer, lane, frame);
      } catch {
        // Its garbage is rejected elsewhere.
      }
    },
    onRequest: (_peer, body) => Promise.resolve(body),
  });
  transport.connect(liar, third, fourth);
  return {
    transport,
    guard,
    book,
    frames,
    waits,
    frame: (bytes, lane = "consensus") => {
      void transport.handler?.onFrame(liar, lane, bytes);
    },
    advance: (ms) => {
      nowMs += ms;
    },
  };
}

function sealed(bodies: readonly Uint8Array[]): Uint8Array {
  const signature = { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null };
  const seal = { signer: 1 as ValidatorIndex, leafCount: bodies.length, signature };
  const items = bodies.map((body, index) => ({ index, body }));
  const frame: SealedFrame = { kind: "sealed", epoch: set.epoch, seal, items, complement: new Uint8Array(0) };
  return encode(frameCodec, frame);
}

function bundle(firstNonce: number, timestampMs = WALL_MS): Uint8Array {
  return encode(bundleCodec, {
    creator: 1 as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "application",
    firstNonce: firstNonce as Nonce,
    timestampMs,
    parents: [ZERO_HASH],
    payloads: [Uint8Array.of(1)],
  });
}

function viewChange(view: number): Uint8Array {
  return encode(messageCodec, { kind: "view-change", view: view as View, stable: null, prepared: [] });
}

function timeout(): Promise<never> {
  return Promise.reject(Object.assign(new Error("no answer"), { code: "timeout" }));
}

describe("the guard between transport and loop", () => {
  test("lets no frame and no question of a banned peer through, and hides it", async () => {
    const { guard, book, frames, frame, transport } = await newGuard();
    frame(Uint8Array.of(1));
    await book.ban(liar, { lengthMs: 1_000, reason: "a test" });
    frame(Uint8Array.of(1, 2));
    transport.connected.add(liar);
    expect(frames).toEqual([1]);
    expect(transport.ended).toEqual(["banned: a test"]);
    expect(guard.peers().map(({ nodeId }) => nodeId)).toEqual([third, fourth]);
    expect(guard.send(liar, "consensus", Uint8Array.of(1))).toBe("not-connected");
    await expect(guard.request(liar, Uint8Array.of(1), { timeoutMs: 1 })).rejects.toThrow(PeerShunned);
    await expect(transport.handler?.onRequest(liar, Uint8Array.of(1))).rejects.toThrow(PeerShunned);
  });

  test("counts silence only from the third question in a row on, and an answer ends the row", async () => {
    const { guard, book, transport } = await newGuard();
    const ask = (): Promise<unknown> => guard.request(liar, Uint8Array.of(1), { timeoutMs: 1 }).catch(() => undefined);
    transport.outcome = timeout;
    await ask();
    await ask();
    transport.outcome = () => Promise.resolve(new Uint8Array(1));
    await ask();
    transport.outcome = timeout;
    await ask();
    await ask();
    expect(book.report(liar).violations).toEqual({});
    await ask();
    await ask();
    expect(book.report(liar).violations).toEqual({ timeout: 2 });
  });

  test("counts questions that were open at the same time as one silence", async () => {
    const { guard, book, transport, advance } = await newGuard();
    const ask = (): Promise<unknown> => guard.request(liar, Uint8Array.of(1), { timeoutMs: 1 }).catch(() => undefined);
    const gate = Promise.withResolvers<void>();
    transport.outcome = () => gate.promise.then(timeout);
    const open = Array.from({ length: 9 }, ask);
    advance(4_000);
    gate.resolve();
    await Promise.all(open);
    expect(book.report(liar).violations).toEqual({});
    await ask();
    await ask();
    expect(book.report(liar).violations).toEqual({ timeout: 1 });
  });

  test("does not ask a graylisted validator while enough others are good, and asks it where they are not", async () => {
    const { guard, book, transport } = await newGuard();
    for (let round = 0; round < 7; round++) book.record(liar, "timeout", "silence");
    expect(book.stateOf(liar)).toBe("graylisted");
    await expect(guard.request(liar, Uint8Array.of(1), { timeoutMs: 1 })).rejects.toThrow("graylisted");
    transport.disconnect(fourth, "away");
    await guard.request(liar, Uint8Array.of(1), { timeoutMs: 1 });
    expect(transport.asked).toEqual([liar]);
  });

  test("makes a throttled peer's frames wait beyond their allowance, and loses none before it", async () => {
    const { guard, book, frames, frame, waits, advance } = await newGuard();
    for (let round = 0; round < 6; round++) guard.onViolation(liar, "out-of-order", "a test");
    expect(book.stateOf(liar)).toBe("throttled");
    for (let round = 0; round < 101; round++) frame(Uint8Array.of(9), "dissemination");
    expect(frames.length).toBe(100);
    expect(waits.length).toBe(1);
    frame(Uint8Array.of(9), "consensus");
    expect(frames.length).toBe(101);
    advance(3_600_000);
    for (let round = 0; round < 500; round++) frame(Uint8Array.of(9), "dissemination");
    expect(waits.length).toBe(1);
  });

  test("finds bundles that do not ascend in one frame, and times far from the clock, but not between frames", async () => {
    const { book, frame } = await newGuard();
    frame(sealed([bundle(1), bundle(2), bundle(9)]), "dissemination");
    frame(sealed([bundle(2)]), "dissemination");
    frame(sealed([bundle(10, WALL_MS + 15_000), bundle(11, WALL_MS - 600_000)]), "dissemination");
    expect(book.report(liar).violations).toEqual({});
    frame(sealed([bundle(3), bundle(3)]), "dissemination");
    expect(book.report(liar).violations).toEqual({ "out-of-order": 1 });
    frame(sealed([bundle(20, WALL_MS + 15_001), bundle(21, 0)]), "dissemination");
    expect(book.report(liar).violations).toEqual({ "out-of-order": 1, timestamp: 1 });
  });

  test("counts the views that a peer asks for, each once, beyond what timers of a second allow", async () => {
    const { book, frame } = await newGuard();
    for (let round = 0; round < 1_000; round++) frame(sealed([viewChange(5)]));
    frame(sealed(Array.from({ length: 63 }, (_, index) => viewChange(6 + index))));
    expect(book.report(liar).violations).toEqual({});
    frame(sealed([viewChange(100), viewChange(101), viewChange(99)]));
    expect(book.report(liar).violations).toEqual({ "view-change-spam": 2 });
  });

  test("counts wishes for another view of HotStuff in its own words, and no word of another engine", async () => {
    const { book, frame } = await newGuard("hotstuff");
    const timeout = (view: number): Uint8Array =>
      encode(hotStuffCodec, { kind: "timeout", view: view as View, high: { view: 0 as View, block: ZERO_HASH } });
    frame(sealed(Array.from({ length: 64 }, (_, index) => timeout(1 + index))));
    frame(sealed(Array.from({ length: 64 }, (_, index) => viewChange(100 + index))));
    expect(book.report(liar).violations).toEqual({});
    frame(sealed([timeout(70), timeout(71), timeout(3)]));
    expect(book.report(liar).violations).toEqual({ "view-change-spam": 2 });
  });

  test("observes every other validator: valid frames, time connected, time since the last sign of life", async () => {
    const { guard, frame, advance, transport } = await newGuard();
    advance(1_000);
    frame(Uint8Array.of(1));
    frame(sealed([bundle(3), bundle(3)]), "dissemination");
    transport.disconnect(fourth, "away");
    advance(1_000);
    expect(guard.observations(2_000)).toEqual([
      { nodeId: liar, validPpm: 500_000, uptimePpm: 1_000_000, inactiveMs: 0 },
      { nodeId: third, validPpm: 1_000_000, uptimePpm: 1_000_000, inactiveMs: 0 },
      { nodeId: fourth, validPpm: 1_000_000, uptimePpm: 500_000, inactiveMs: 1_000 },
    ]);
  });
});
