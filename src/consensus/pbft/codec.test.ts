import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Solo } from "../../../test/cluster/solo.ts";
import { type Codec, decode, encode } from "../../codec/codec.ts";
import { DecodeError } from "../../codec/reader.ts";
import { hashOf } from "../../crypto/hash.ts";
import { bundleCodec } from "../../dag/bundle.ts";
import { toHash } from "../../lib/hash.ts";
import type { Epoch, Sequence, View } from "../../membership/ids.ts";
import { type Proof, proofCodec } from "../../membership/seal.ts";
import type { CheckpointCertificate } from "../engine.ts";
import { checkpointCertificateCodec, committedSlotCodec } from "../log-codec.ts";
import { messageCodec, signedNewViewCodec } from "./codec.ts";
import type { PbftMessage } from "./messages.ts";

const solo = new Solo();
const BATCH = { timestampMs: 0x0102_0304, bundles: [toHash(new Uint8Array(32).fill(0xb1))] };
const DIGEST = toHash(new Uint8Array(32).fill(0xd1));
const STATE = toHash(new Uint8Array(32).fill(0x57));

const place = { view: 2 as View, sequence: 0x0a0b as Sequence, digest: DIGEST };
const statement = { phase: "checkpoint", view: 0, sequence: 32, digest: STATE } as const;
const STABLE: CheckpointCertificate = {
  sequence: 32 as Sequence,
  stateDigest: STATE,
  epoch: 0 as Epoch,
  proofs: [0, 1, 2].map((from) => solo.proof(from, statement)),
};
const VIEW_CHANGE = solo.viewChange(3, [solo.certificate(0, 33, DIGEST), solo.certificate(2, 34, DIGEST)], STABLE);
const NEW_VIEW = solo.newView(3, [
  [0, VIEW_CHANGE],
  [1, solo.viewChange(3)],
  [3, solo.viewChange(3, [], STABLE)],
]);

const MESSAGES: Readonly<Record<PbftMessage["kind"], PbftMessage>> = {
  "pre-prepare": { kind: "pre-prepare", ...place, batch: BATCH },
  prepare: { kind: "prepare", ...place },
  commit: { kind: "commit", ...place },
  checkpoint: { kind: "checkpoint", sequence: 32 as Sequence, stateDigest: STATE },
  "view-change": VIEW_CHANGE,
  "new-view": NEW_VIEW,
};

const PLACE_HEX = `0200000000000000${"0b0a000000000000"}${"d1".repeat(32)}`;

/** Layout: u32 tag, u64 numbers, 32 digest bytes, one byte for an option, u64 counts; all little-endian. */
const GOLDEN: Readonly<Record<string, string>> = {
  "pre-prepare": `00000000${PLACE_HEX}01${"0403020100000000"}${"0100000000000000"}${"b1".repeat(32)}`,
  prepare: `01000000${PLACE_HEX}`,
  commit: `02000000${PLACE_HEX}`,
  checkpoint: `03000000${"2000000000000000"}${"57".repeat(32)}`,
};

/** Messages with certificates are 4.6 KiB a seal: their digest stands for the bytes. */
const GOLDEN_DIGESTS: Readonly<Record<string, { readonly bytes: number; readonly digest: string }>> = {
  "view-change": { bytes: 42_047, digest: "5b7f48786209bd65488431a8c6c618b06cd82b6b353c5275358237ac497a3d40" },
  "new-view": { bytes: 56_151, digest: "3484ed85b97dbbd742772ecf5ad9c77c7da7e86a0cb3d3710cc285130223e1ec" },
};

describe("golden bytes", () => {
  for (const [kind, hex] of Object.entries(GOLDEN)) {
    test(`a ${kind} message`, () => {
      expect(encode(messageCodec, MESSAGES[kind as PbftMessage["kind"]]).toHex()).toBe(hex);
    });
  }
  for (const [kind, golden] of Object.entries(GOLDEN_DIGESTS)) {
    test(`a ${kind} message`, () => {
      const bytes = encode(messageCodec, MESSAGES[kind as PbftMessage["kind"]]);
      expect({ bytes: bytes.length, digest: hashOf("record", bytes) as string }).toEqual(golden);
    });
  }

  test("a proposal without content takes one byte for that", () => {
    const bytes = encode(messageCodec, { kind: "pre-prepare", ...place, batch: null });
    expect(bytes.toHex()).toBe(`00000000${PLACE_HEX}00`);
  });

  test("a seal that proves several places stands once in a message", () => {
    const shared = VIEW_CHANGE.prepared[0];
    if (shared === undefined) throw new Error("a certificate");
    const once = encode(messageCodec, solo.viewChange(3, [shared])).length;
    const twice = encode(messageCodec, solo.viewChange(3, [shared, { ...shared, sequence: 34 as Sequence }])).length;
    expect(twice - once).toBeLessThan(300);
  });
});

interface Sample {
  readonly name: string;
  readonly codec: Codec<unknown>;
  readonly value: unknown;
}

const SAMPLES: readonly Sample[] = [
  ...Object.values(MESSAGES).map((value) => ({
    name: `${value.kind} message`,
    codec: messageCodec as Codec<unknown>,
    value,
  })),
  { name: "committed place", codec: committedSlotCodec as Codec<unknown>, value: solo.committed(2, 9, BATCH) },
  { name: "stable checkpoint", codec: checkpointCertificateCodec as Codec<unknown>, value: STABLE },
  { name: "signed new view", codec: signedNewViewCodec as Codec<unknown>, value: solo.sign(3, NEW_VIEW) },
  { name: "bundle", codec: bundleCodec as Codec<unknown>, value: solo.bundle(2).bundle },
  { name: "proof", codec: proofCodec as Codec<unknown>, value: STABLE.proofs[0] as Proof },
];

describe("every encoding is the only one of its value, and nothing else is taken", () => {
  for (const { name, codec, value } of SAMPLES) {
    const bytes = encode(codec, value);

    test(`a ${name} comes back as it was`, () => {
      expect(encode(codec, decode(codec, bytes))).toEqual(bytes);
      expect(decode(codec, bytes)).toEqual(value);
    });

    test(`a ${name} that is cut short or runs on is refused`, () => {
      const step = Math.max(1, Math.floor(bytes.length / 257));
      for (let length = 0; length < bytes.length; length += step) {
        expect(() => decode(codec, bytes.subarray(0, length))).toThrow(DecodeError);
      }
      expect(() => decode(codec, new Uint8Array([...bytes, 0]))).toThrow(DecodeError);
    });

    test(`a ${name} with any bytes changed is refused, or is the one encoding of another value`, () => {
      const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      });
      fc.assert(
        fc.property(changes, (edits) => {
          const changed = Uint8Array.from(bytes);
          for (const [at, by] of edits) changed[at] = (changed[at] ?? 0) ^ by;
          let again: Uint8Array;
          try {
            again = encode(codec, decode(codec, changed));
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError);
            return;
          }
          expect(again).toEqual(changed);
        }),
        { numRuns: 300, seed: 7 },
      );
    });

    test(`noise instead of a ${name} ends in a DecodeError`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
          try {
            expect(encode(codec, decode(codec, noise))).toEqual(noise);
          } catch (error) {
            if (!(error instanceof DecodeError)) throw error;
          }
        }),
        { numRuns: 200, seed: 7 },
      );
    });
  }

  test("a list that claims 2^40 elements is refused before anything is allocated for it", () => {
    const bytes = encode(messageCodec, MESSAGES["pre-prepare"]);
    const claim = Uint8Array.from(bytes);
    claim.set([0, 0, 0, 0, 0, 1, 0, 0], bytes.length - 40);
    expect(() => decode(messageCodec, claim)).toThrow(DecodeError);
  });
});
