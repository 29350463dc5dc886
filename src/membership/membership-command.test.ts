import { describe, expect, test } from "bun:test";
import { allHold, networkOf } from "../../test/cluster/signing.ts";
import { decode, encode } from "../codec/codec.ts";
import type { NodeId } from "../crypto/identity.ts";
import { ED25519_PUBLIC_KEY_BYTES } from "../crypto/signature.ts";
import { type Hash, ZERO_HASH } from "../lib/hash.ts";
import type { Candidate } from "./candidate.ts";
import { candidateOf, lieOf, seen } from "./membership.cases.ts";
import {
  commandFault,
  type MembershipCommand,
  membershipCommandCodec,
  obligationsOfCommand,
} from "./membership-command.ts";

const network = networkOf(4);
const COMMANDS: readonly MembershipCommand[] = [
  { kind: "evidence", evidence: lieOf(network, 1) },
  { kind: "admit", candidate: candidateOf(1) },
  { kind: "dismiss", validator: candidateOf(1).nodeId },
  { kind: "leave" },
  { kind: "report", observations: [seen(0), seen(2, { inactiveMs: 5 })] },
];

describe("a membership command", () => {
  test.each(COMMANDS)("$kind is well formed and comes back from its bytes", (command) => {
    expect(commandFault(network, command)).toBeNull();
    expect(decode(membershipCommandCodec, encode(membershipCommandCodec, command))).toEqual(command);
  });

  test("begins with its variant's number, which never changes", () => {
    expect(COMMANDS.map((command) => encode(membershipCommandCodec, command)[0])).toEqual([0, 1, 2, 3, 4]);
  });

  test("rests on signatures where it is evidence, and else on its bundle's alone", () => {
    expect(COMMANDS.map((command) => obligationsOfCommand(network, command).length)).toEqual([2, 0, 0, 0, 0]);
    const other = networkOf(4, { name: "other" });
    for (const command of COMMANDS.slice(0, 1)) {
      expect(allHold(network, obligationsOfCommand(network, command))).toBe(true);
      expect(allHold(other, obligationsOfCommand(other, command))).toBe(false);
    }
  });

  test("that reports names each validator once, in order, with shares of at most one", () => {
    const fault = (...observations: readonly ReturnType<typeof seen>[]) =>
      commandFault(network, { kind: "report", observations });
    expect(fault()).toContain("without");
    expect(fault(seen(1), seen(1))).toContain("ascend");
    expect(fault(seen(2), seen(1))).toContain("ascend");
    expect(fault(seen(1, { validPpm: 1_000_001 }))).toContain("millionths");
    expect(fault(seen(1, { uptimePpm: 1_000_001 }))).toContain("millionths");
    expect(fault(seen(1024))).toContain("1024");
  });
});

describe("a candidate", () => {
  const fault = (changes: Partial<Candidate>): string | null =>
    commandFault(network, { kind: "admit", candidate: { ...candidateOf(1), ...changes } });

  test("has the node id of its keys", () => {
    expect(fault({ nodeId: ZERO_HASH as Hash as NodeId })).toContain("node id");
    expect(fault({ publicKeys: candidateOf(2).publicKeys })).toContain("node id");
  });

  test("has the kinds of keys that this network has", () => {
    const { mlDsa } = candidateOf(1).publicKeys;
    const ed25519 = new Uint8Array(ED25519_PUBLIC_KEY_BYTES);
    expect(fault({ publicKeys: { mlDsa, ed25519 } })).toContain("Ed25519");
    expect(fault({ publicKeys: { mlDsa, ed25519: ed25519.subarray(1) } })).toContain("length");
    expect(fault({ publicKeys: { mlDsa: mlDsa.subarray(1), ed25519: null } })).toContain("length");
  });

  test.each(["", "a\nb", "x".repeat(257), "\u{1f600}".repeat(65)])("is not named %j", (name) => {
    expect(fault({ name })).toContain("name");
  });

  test("may have a name of 256 bytes", () => {
    for (const name of ["x".repeat(256), "\u{1f600}".repeat(64), "ä".repeat(128)]) expect(fault({ name })).toBeNull();
  });

  test.each(["", "host", "host:", ":1", "host:0", "host:65536", "ho st:1", "a:b:1", `${"x".repeat(262)}:1`])(
    "is not found at %j",
    (address) => expect(fault({ address })).toContain("host:port"),
  );

  test.each(["host:1", "10.0.0.1:65535", "[::1]:4433", `${"x".repeat(255)}:65535`])("is found at %j", (address) =>
    expect(fault({ address })).toBeNull(),
  );
});
