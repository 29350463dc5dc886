import { expect, test } from "bun:test";
import { hashOf } from "../crypto/hash.ts";
import { nodeIdOf } from "../crypto/identity.ts";
import { ZERO_HASH } from "../lib/hash.ts";
import { Handshake } from "./handshake.ts";

const KEYS = { mlDsa: new Uint8Array(2592).fill(1), ed25519: new Uint8Array(32).fill(2) };

function machine(role: "dialer" | "listener"): Handshake {
  return new Handshake({
    role,
    nodeId: nodeIdOf(KEYS),
    publicKeys: KEYS,
    genesis: ZERO_HASH,
    hybrid: true,
    nonce: new Uint8Array(32).fill(3),
    incarnation: 258,
    expected: null,
    refuse: () => null,
  });
}

test("a hello keeps its bytes: variant 0, version 1, genesis, keys, nonce, incarnation", () => {
  const [hello] = machine("dialer").start();
  if (hello?.kind !== "send") throw new Error("a hello");
  expect(hello.bytes.subarray(0, 6).toHex()).toBe("000000000100");
  expect(hello.bytes.subarray(-40).toHex()).toBe(`${"03".repeat(32)}0201000000000000`);
  expect(hello.bytes.length).toBe(4 + 2 + 32 + 2592 + 1 + 32 + 32 + 8);
  expect(hashOf("record", hello.bytes)).toMatchSnapshot();
});

test("a refusal keeps its bytes: variant 3 and the code as text", () => {
  const [refusal] = machine("listener").step({ kind: "message", bytes: new Uint8Array(1) });
  if (refusal?.kind !== "send") throw new Error("a refusal");
  expect(refusal.bytes.toHex()).toBe(`03000000${"0800000000000000"}${new TextEncoder().encode("protocol").toHex()}`);
});
