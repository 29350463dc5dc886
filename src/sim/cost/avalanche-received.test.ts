import { expect, test } from "bun:test";
import type { Votes } from "../../dag/votes.ts";
import { hashOf } from "../../crypto/hash.ts";
import type { NodeId } from "../../crypto/identity.ts";
import { holdBundle } from "../../dag/bundle.ts";
import { present } from "../../lib/assert.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../membership/ids.ts";
import { proofRoot } from "../../membership/seal.ts";
import { statementDigest } from "../../membership/statement.ts";
import { votesStatement } from "../../dag/votes.ts";
import { type NetworkContext, ValidatorSet } from "../../membership/validator-set.ts";
import { REFERENCE_COSTS } from "./cost-table.ts";
import { Received } from "./avalanche-received.ts";
import { closeTurn, type Parcel, type Said } from "./avalanche-turn.ts";

const [SENDER, RECEIVER] = [0 as ValidatorIndex, 1 as ValidatorIndex];

const NETWORK: NetworkContext = {
  genesis: hashOf("genesis", Uint8Array.of(1)),
  set: new ValidatorSet(
    0 as Epoch,
    [0, 1, 2].map((place) => ({
      nodeId: hashOf("node-id", Uint8Array.of(place)) as NodeId,
      publicKeys: { mlDsa: new Uint8Array(0), ed25519: null },
      name: `node-${place}`,
    })),
  ),
};

const HELD = holdBundle(NETWORK, {
  creator: SENDER,
  term: 0 as Epoch,
  purpose: "dag",
  firstNonce: 1 as Nonce,
  timestampMs: 0,
  parents: [NETWORK.genesis, NETWORK.genesis],
  payloads: [new Uint8Array(2_000).fill(7)],
});

const VOTES: Votes = { kind: "votes", entries: [{ level: "accept", bundle: HELD.ref.digest, except: [] }] };

function parcel(): Parcel {
  const said: Said[] = [
    { content: VOTES, bytes: 50, to: "all" },
    { content: HELD, bytes: 2_200, to: "all" },
    { content: { kind: "query", poll: 1, lanes: [[HELD.ref.digest]] }, bytes: 60, to: [RECEIVER] },
    { content: { kind: "query", poll: 2, lanes: [] }, bytes: 20, to: [2 as ValidatorIndex] },
  ];
  const others = [RECEIVER, 2 as ValidatorIndex];
  const turn = closeTurn(SENDER, said, { others, costs: REFERENCE_COSTS });
  return present(turn.parcels.get(RECEIVER), "a parcel");
}

test("a node in a process of its own holds equal copies of what it was sent, and nothing of the frames", () => {
  const { messages, bundles } = new Received(NETWORK).open(parcel());
  expect(messages.map(({ message }) => message)).toEqual([
    VOTES,
    { kind: "query", poll: 1, lanes: [[HELD.ref.digest]] },
  ]);
  expect(bundles).toEqual([HELD]);
  const [copy] = bundles;
  expect(copy).not.toBe(HELD);
  const [payload] = copy?.bundle.payloads ?? [];
  expect(present(payload, "a payload").buffer.byteLength).toBeLessThan(2_500);
  const [votes, query] = messages;
  // One seal for all frames of the turn, in bytes of its own.
  expect(query?.proof.seal).toBe(present(votes, "votes").proof.seal);
  expect(votes?.proof.seal.signature.mlDsa.buffer.byteLength).toBe(4_627);
});

test("its proofs lead to the root of all that the turn says", () => {
  const { messages } = new Received(NETWORK).open(parcel());
  const { proof } = present(messages[0], "votes");
  expect(proof.seal.leafCount).toBe(4);
  expect(proofRoot(statementDigest(NETWORK, votesStatement(VOTES)), proof)).not.toBeNull();
  const again = new Received(NETWORK).open(parcel());
  expect(present(again.messages[0], "votes").proof).toEqual(proof);
});
