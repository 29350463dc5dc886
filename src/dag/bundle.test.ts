import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import { toHash } from "../lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import { batchDigest, NULL_BATCH } from "./batch.ts";
import { type Bundle, bundleFault, bundleStatement, holdBundle, vertexAt } from "./bundle.ts";
import { BUNDLE_PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX } from "./limits.ts";
import { vertexId } from "./vertex.ts";

const network = networkOf(4);

function bundleOf(changes: Partial<Bundle> = {}): Bundle {
  return {
    creator: 1 as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "application",
    firstNonce: 3 as Nonce,
    timestampMs: 1_000,
    parents: [network.genesis],
    payloads: [new Uint8Array([1]), new Uint8Array([1]), new Uint8Array(0)],
    ...changes,
  };
}

describe("a bundle's ids", () => {
  test("each vertex has the id that it would have alone, and equal payloads make different vertices", () => {
    const { bundle, vertexIds } = holdBundle(network, bundleOf());
    const { nodeId } = network.set.at(bundle.creator);
    expect(vertexIds).toEqual(bundle.payloads.map((_, at) => vertexId(network.genesis, vertexAt(bundle, nodeId, at))));
    expect(new Set(vertexIds).size).toBe(3);
  });

  test("change with everything that the bundle says, and with the network", () => {
    const digests = [
      bundleOf(),
      bundleOf({ creator: 2 as ValidatorIndex }),
      bundleOf({ firstNonce: 4 as Nonce }),
      bundleOf({ timestampMs: 1_001 }),
      bundleOf({ parents: [toHash(new Uint8Array(32))] }),
      bundleOf({ payloads: [new Uint8Array([1]), new Uint8Array([1])] }),
      bundleOf({ payloads: [new Uint8Array([1, 1]), new Uint8Array(0), new Uint8Array(0)] }),
    ].map((bundle) => holdBundle(network, bundle).ref.digest);
    digests.push(holdBundle(networkOf(4, { name: "other" }), bundleOf()).ref.digest);
    expect(new Set(digests).size).toBe(digests.length);
  });

  test("its signer says which nonces it takes: two bundles at one nonce are two statements for one place", () => {
    const { ref } = holdBundle(network, bundleOf());
    expect(bundleStatement(ref)).toEqual({ phase: "bundle", view: 0, sequence: 3, digest: ref.digest });
    expect(ref).toMatchObject({ firstNonce: 3, count: 3, previous: network.genesis });
  });
});

describe("what a bundle may not be", () => {
  for (const [what, changes] of [
    ["empty", { payloads: [] }],
    ["of a stranger", { creator: 4 as ValidatorIndex }],
    ["numbered from 0", { firstNonce: 0 as Nonce }],
    ["numbered past 2^53", { firstNonce: Number.MAX_SAFE_INTEGER as Nonce }],
    ["without a parent", { parents: [] }],
    ["of two parents", { parents: [network.genesis, network.genesis] }],
    [
      "too heavy",
      {
        payloads: Array.from(
          { length: BUNDLE_PAYLOAD_BYTES_MAX / PAYLOAD_BYTES_MAX + 1 },
          () => new Uint8Array(PAYLOAD_BYTES_MAX),
        ),
      },
    ],
  ] as const) {
    test(what, () => {
      expect(bundleFault(network, bundleOf(changes))).toBeString();
    });
  }

  test("and what it may be", () => {
    expect(bundleFault(network, bundleOf())).toBeNull();
  });
});

describe("a batch's digest", () => {
  test("covers time, bundles and their order, and no view or sequence", () => {
    const [one, two] = [toHash(new Uint8Array(32).fill(1)), toHash(new Uint8Array(32).fill(2))];
    const digests = [
      NULL_BATCH,
      { timestampMs: 1, bundles: [] },
      { timestampMs: 1, bundles: [one] },
      { timestampMs: 1, bundles: [one, two] },
      { timestampMs: 1, bundles: [two, one] },
      { timestampMs: 1, bundles: [one, one] },
    ].map(batchDigest);
    expect(new Set(digests).size).toBe(digests.length);
  });
});
