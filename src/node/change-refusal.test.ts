import { describe, expect, test } from "bun:test";
import { type NodeKeyPair, keyPairFromSeeds } from "../crypto/key-pair.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Candidate } from "../membership/candidate.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import type { MembershipEntry } from "../membership/membership-entry.ts";
import { genesisMembership, type MembershipState } from "../membership/membership-state.ts";
import { type NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import { ZERO_HASH } from "../lib/hash.ts";
import { agreedChange, changeRefusal } from "./change-refusal.ts";
import type { ProposedChange } from "./service.ts";

const KEYS: readonly NodeKeyPair[] = [1, 2, 3, 4, 5].map((seed) =>
  keyPairFromSeeds({ mlDsaSeed: new Uint8Array(32).fill(seed), ed25519Seed: new Uint8Array(32).fill(seed + 100) }),
);

const NETWORK: NetworkContext = {
  genesis: ZERO_HASH,
  set: new ValidatorSet(
    0 as Epoch,
    KEYS.slice(0, 4).map(({ nodeId, publicKeys }, index) => ({ nodeId, publicKeys, name: `node-${index + 1}` })),
  ),
};
const JOINING = KEYS[4]?.nodeId ?? ("" as NodeId);
const [SELF, OTHER] = NETWORK.set.roster.map(({ nodeId }) => nodeId) as [NodeId, NodeId];

function stateWith(min: number, changes: Readonly<Record<number, Partial<MembershipEntry>>> = {}): MembershipState {
  const addresses = NETWORK.set.roster.map(() => "");
  const state = genesisMembership(NETWORK, { min, max: 9 }, addresses);
  return { ...state, entries: state.entries.map((entry, index) => ({ ...entry, ...changes[index] })) };
}

function refusal(state: MembershipState, change: ProposedChange): string | null {
  const error = changeRefusal({ network: NETWORK, first: NETWORK, state, self: SELF }, change);
  return error === null ? null : `${error.code}: ${error.message}`;
}

function admit(changes: Partial<Candidate> = {}): ProposedChange {
  const keys = KEYS[4];
  if (keys === undefined) throw new Error("five keys");
  const { nodeId, publicKeys } = keys;
  return { kind: "admit", candidate: { nodeId, publicKeys, name: "node-5", address: "127.0.0.1:9040", ...changes } };
}

const leave = (waitForSuccessor = false): ProposedChange => ({ kind: "leave", waitForSuccessor });
const dismiss = (nodeId: NodeId, waitForSuccessor = false): ProposedChange => ({
  kind: "dismiss",
  nodeId,
  waitForSuccessor,
});

function candidateOf(nodeId: NodeId): Partial<Candidate> {
  const keys = KEYS.find((pair) => pair.nodeId === nodeId);
  return keys === undefined ? {} : { nodeId, publicKeys: keys.publicKeys };
}

describe("an operator's change", () => {
  test("is said where it makes sense", () => {
    expect(refusal(stateWith(3), admit())).toBeNull();
    expect(refusal(stateWith(3), leave())).toBeNull();
    expect(refusal(stateWith(3), dismiss(OTHER))).toBeNull();
  });

  test("names a candidate whom the others could verify, find and tell apart", () => {
    const state = stateWith(3);
    expect(refusal(state, admit({ address: "nowhere" }))).toMatch(/^malformed-candidate: .*host:port/);
    expect(refusal(state, admit({ name: "" }))).toMatch(/^malformed-candidate: .*name/);
    expect(refusal(state, admit({ nodeId: OTHER }))).toMatch(/^malformed-candidate: .*node id/);
    const [named] = NETWORK.set.roster;
    expect(refusal(state, admit({ name: named?.name ?? "" }))).toMatch(/^malformed-candidate: .*choose another/);
  });

  test("brings back who left, lets who is condemned stay, and convicts for ever", () => {
    const again = admit(candidateOf(OTHER));
    expect(refusal(stateWith(3), again)).toMatch(/^not-applicable: .*active already/);
    expect(refusal(stateWith(3, { 1: { condemned: "reputation" } }), again)).toBeNull();
    expect(refusal(stateWith(3, { 1: { standing: "left" } }), again)).toBeNull();
    expect(refusal(stateWith(3, { 1: { standing: "standby" } }), again)).toMatch(/^not-applicable: .*waits/);
    expect(refusal(stateWith(3, { 1: { standing: "convicted" } }), again)).toMatch(
      /^not-applicable: .*never comes back/,
    );
    expect(refusal(stateWith(3, { 1: { condemned: "evidence" } }), again)).toMatch(
      /^not-applicable: .*never comes back/,
    );
  });

  test("is the same for all operators where a former validator comes back", () => {
    const address = "127.0.0.1:9010";
    const state = stateWith(3, { 1: { standing: "left", name: "" } });
    const context = { state, addresses: new Map([[OTHER, address]]) };
    const [named, here] = [
      { name: "node-2", address },
      { name: "the second", address: "" },
    ].map((changes) => agreedChange(context, admit({ ...candidateOf(OTHER), ...changes })));
    expect(named).toEqual(here as never);
    expect(named).toMatchObject({ candidate: { name: "", address: "" } });
    const moved = agreedChange(context, admit({ ...candidateOf(OTHER), address: "127.0.0.1:9999" }));
    expect(moved).toMatchObject({ candidate: { nodeId: OTHER, address: "127.0.0.1:9999" } });
    // Of a new one every word counts.
    expect(agreedChange(context, admit())).toEqual(admit());
  });

  test("removes only who has a place, and nobody twice", () => {
    expect(refusal(stateWith(3), dismiss(JOINING))).toMatch(/^unknown-validator: /);
    expect(refusal(stateWith(3, { 1: { standing: "left" } }), dismiss(OTHER))).toMatch(/^not-applicable: .*no place/);
    expect(refusal(stateWith(3, { 1: { standing: "standby" } }), dismiss(OTHER))).toBeNull();
    expect(refusal(stateWith(3, { 1: { condemned: "dismissed" } }), dismiss(OTHER))).toMatch(/^not-applicable: .*goes/);
    expect(refusal(stateWith(3, { 0: { condemned: "left" } }), leave())).toMatch(/^not-applicable: .*goes/);
  });

  test("does not take the last above the minimum, unless it may wait or a successor does", () => {
    expect(refusal(stateWith(4), leave())).toMatch(/^at-minimum: .*minimum of 4/);
    expect(refusal(stateWith(4), dismiss(OTHER))).toMatch(/^at-minimum: /);
    expect(refusal(stateWith(4), leave(true))).toBeNull();
    expect(refusal(stateWith(4), dismiss(OTHER, true))).toBeNull();
    // Three are sound here: one more may not go, even where it is the condemned one's turn first.
    expect(refusal(stateWith(3, { 1: { condemned: "reputation" } }), leave())).toMatch(/^at-minimum: /);
    // It goes already for another cause: its dismissal takes nobody else.
    expect(refusal(stateWith(3, { 1: { condemned: "reputation" } }), dismiss(OTHER))).toBeNull();
    const state = { ...stateWith(3, { 1: { condemned: "reputation" } }), queue: [9 as ValidatorIndex] };
    expect(refusal(state, leave())).toBeNull();
  });
});
