import { describe, expect, test } from "bun:test";
import { keyPairFromSeeds, type NodeKeyPair } from "../crypto/key-pair.ts";
import { importPublicKeys } from "../crypto/public-keys.ts";
import { createVerifier } from "../crypto/verifier.ts";
import { type Hash, ZERO_HASH } from "../lib/hash.ts";
import { Handshake, type HandshakeEffect, type HandshakeOptions, type Role } from "./handshake.ts";

const verifier = createVerifier({ hybrid: true });
const pair = (seed: number): NodeKeyPair =>
  keyPairFromSeeds({ mlDsaSeed: new Uint8Array(32).fill(seed), ed25519Seed: new Uint8Array(32).fill(seed) });
const ALICE = pair(1);
const BOB = pair(2);
const MALLORY = pair(3);

interface Side {
  readonly keys: NodeKeyPair;
  readonly machine: Handshake;
  readonly sent: Uint8Array[];
  outcome: string | null;
}

function side(keys: NodeKeyPair, role: Role, changes: Partial<HandshakeOptions> = {}): Side {
  const machine = new Handshake({
    role,
    nodeId: keys.nodeId,
    publicKeys: keys.publicKeys,
    genesis: ZERO_HASH,
    hybrid: true,
    nonce: new Uint8Array(32).fill(role === "dialer" ? 7 : 8),
    incarnation: 1,
    expected: null,
    refuse: () => null,
    ...changes,
  });
  return { keys, machine, sent: [], outcome: null };
}

/** Performs effects with real keys; what is sent lands in `sent`. */
async function perform(who: Side, effects: readonly HandshakeEffect[]): Promise<void> {
  for (const effect of effects) {
    if (effect.kind === "send") who.sent.push(effect.bytes);
    else if (effect.kind === "sign") {
      const signature = await who.keys.sign(effect.transcript);
      await perform(who, who.machine.step({ kind: "signed", signature }));
    } else if (effect.kind === "verify") {
      const holds = await verifier.verify(importPublicKeys(effect.keys), effect.transcript, effect.signature);
      await perform(who, who.machine.step({ kind: "verified", holds }));
    } else
      who.outcome =
        effect.kind === "established" ? `established ${effect.peer.nodeId}` : `${effect.by}: ${effect.code}`;
  }
}

/** Lets the two talk until nobody has anything to say. */
async function talk(dialer: Side, listener: Side, bindings: readonly [number, number] = [5, 5]): Promise<void> {
  await perform(dialer, dialer.machine.start());
  await perform(dialer, dialer.machine.step({ kind: "bound", binding: new Uint8Array(32).fill(bindings[0]) }));
  await perform(listener, listener.machine.step({ kind: "bound", binding: new Uint8Array(32).fill(bindings[1]) }));
  for (let [from, to] = [dialer, listener]; dialer.sent.length + listener.sent.length > 0; [from, to] = [to, from]) {
    for (const bytes of from.sent.splice(0)) await perform(to, to.machine.step({ kind: "message", bytes }));
  }
}

async function outcomes(
  dialer: Side,
  listener: Side,
  bindings: readonly [number, number] = [5, 5],
): Promise<readonly (string | null)[]> {
  await talk(dialer, listener, bindings);
  return [dialer.outcome, listener.outcome];
}

describe("the peers' handshake", () => {
  test("establishes both sides, each with the other's identity", async () => {
    expect(await outcomes(side(ALICE, "dialer"), side(BOB, "listener"))).toEqual([
      `established ${BOB.nodeId}`,
      `established ${ALICE.nodeId}`,
    ]);
  });

  test("fails between two TLS sessions: whoever sits in the middle has two exporter values", async () => {
    expect(await outcomes(side(ALICE, "dialer"), side(BOB, "listener"), [5, 6])).toEqual([
      "us: signature",
      "peer: signature",
    ]);
  });

  test.each([
    ["another network", { genesis: "11".repeat(32) as Hash }, "genesis"],
    ["a stranger", { refuse: () => "not-admitted" as const }, "not-admitted"],
    ["somebody else than was dialed", { expected: MALLORY.nodeId }, "unexpected-identity"],
    ["a network without the hybrid mode", { hybrid: false }, "hybrid-mode"],
  ])("refuses %s, and says why", async (_name, changes, code) => {
    const refused = await outcomes(side(ALICE, "dialer"), side(BOB, "listener", changes));
    expect(refused).toEqual([`peer: ${code}`, `us: ${code}`]);
  });

  test("refuses itself", async () => {
    expect(await outcomes(side(ALICE, "dialer"), side(ALICE, "listener"))).toEqual(["peer: self", "us: self"]);
  });

  test("refuses a proof by another key than the hello's", async () => {
    const liar: Side = { ...side({ ...ALICE, sign: (message) => MALLORY.sign(message) }, "dialer") };
    await talk(liar, side(BOB, "listener"));
    expect(liar.outcome).toBe("peer: signature");
  });

  test("refuses a proof of an earlier session: the nonces differ", async () => {
    const first = side(ALICE, "dialer");
    const listener = side(BOB, "listener");
    await perform(first, first.machine.start());
    await perform(first, first.machine.step({ kind: "bound", binding: new Uint8Array(32).fill(5) }));
    await perform(listener, listener.machine.step({ kind: "bound", binding: new Uint8Array(32).fill(5) }));
    for (const bytes of first.sent.splice(0))
      await perform(listener, listener.machine.step({ kind: "message", bytes }));
    const recorded = listener.sent.splice(0);
    const second = side(ALICE, "dialer", { nonce: new Uint8Array(32).fill(9) });
    await perform(second, second.machine.start());
    await perform(second, second.machine.step({ kind: "bound", binding: new Uint8Array(32).fill(5) }));
    for (const bytes of recorded) await perform(second, second.machine.step({ kind: "message", bytes }));
    expect(second.outcome).toBe("us: signature");
  });

  test("refuses its own proof sent back: the transcript names the role", async () => {
    const listener = side(BOB, "listener");
    const dialer = side(ALICE, "dialer");
    await perform(dialer, dialer.machine.start());
    await perform(listener, listener.machine.step({ kind: "bound", binding: new Uint8Array(32).fill(5) }));
    for (const bytes of dialer.sent.splice(0))
      await perform(listener, listener.machine.step({ kind: "message", bytes }));
    const [, proof] = listener.sent;
    if (proof === undefined) throw new Error("a hello and a proof");
    await perform(listener, listener.machine.step({ kind: "message", bytes: proof }));
    expect(listener.outcome).toBe("us: signature");
  });

  test.each([
    ["garbage", () => new Uint8Array(100).fill(255)],
    ["a welcome before anything", () => Uint8Array.of(2, 0, 0, 0)],
    ["nothing", () => new Uint8Array(0)],
  ])("ends on %s, and never says established", async (_name, bytes) => {
    const listener = side(BOB, "listener");
    await perform(listener, listener.machine.step({ kind: "message", bytes: bytes() }));
    expect(listener.outcome).toBe("us: protocol");
    expect(listener.machine.step({ kind: "verified", holds: true })).toEqual([]);
  });

  test("ends on a second hello", async () => {
    const dialer = side(ALICE, "dialer");
    const listener = side(BOB, "listener");
    await perform(dialer, dialer.machine.start());
    const [hello] = dialer.sent;
    if (hello === undefined) throw new Error("a hello");
    for (let index = 0; index < 2; index++)
      await perform(listener, listener.machine.step({ kind: "message", bytes: hello }));
    expect(listener.outcome).toBe("us: protocol");
  });
});
