import { describe, expect, test } from "bun:test";
import { hashOf } from "../../crypto/hash.ts";
import { type VoteEntry, type Votes, votesCodec } from "../../dag/votes.ts";
import { decode, encode } from "../../codec/codec.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { BundleNode } from "./bundle-node.ts";
import { sharedVotes } from "./shared-votes.ts";

const HERE: Hash = hashOf("bundle", Uint8Array.of(1));
const ELSEWHERE: Hash = hashOf("bundle", Uint8Array.of(2));

const whole = (level: VoteEntry["level"]): VoteEntry => ({ level, bundle: HERE, except: [] });
const NODE: Pick<BundleNode, "digest" | "wholeVotes"> = {
  digest: HERE,
  wholeVotes: { accept: whole("accept"), commit: whole("commit") },
};
const nodeOf = (bundle: Hash): BundleNode | undefined => (bundle === HERE ? (NODE as BundleNode) : undefined);

const VOTES: Votes = {
  kind: "votes",
  entries: [
    whole("accept"),
    whole("commit"),
    { level: "accept", bundle: HERE, except: [1, 3] },
    { level: "commit", bundle: ELSEWHERE, except: [] },
  ],
};

const decodedVotes = (): Votes => decode(votesCodec, encode(votesCodec, VOTES));

describe("shared votes", () => {
  test("say what the message said, in the same order", () => {
    expect(sharedVotes(decodedVotes(), nodeOf)).toEqual(VOTES);
  });

  test("are the bundle's own entries where they cover all of it", () => {
    const [accept, commit, some] = sharedVotes(decodedVotes(), nodeOf).entries;
    expect(accept).toBe(NODE.wholeVotes.accept);
    expect(commit).toBe(NODE.wholeVotes.commit);
    expect(present(some, "an entry").except).toEqual([1, 3]);
  });
});
