import { describe, expect, test } from "bun:test";
import { type Codec, decode, encode } from "../codec/codec.ts";
import { DecodeError } from "../codec/reader.ts";
import { hashOf } from "../crypto/hash.ts";
import { type Hash, ZERO_HASH } from "../lib/hash.ts";
import type { Epoch, Nonce, Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import type { Seal } from "../membership/seal.ts";
import {
  batchesAnswerCodec,
  bundlesAnswerCodec,
  committedAnswerCodec,
  type Frame,
  frameCodec,
  type Question,
  pieceAnswerCodec,
  questionCodec,
  snapshotAnswerCodec,
} from "./wire.ts";

const ONES = "11".repeat(32) as Hash;
const SEAL: Seal = {
  signer: 2 as ValidatorIndex,
  leafCount: 3,
  signature: { mlDsa: new Uint8Array(4627).fill(0xaa), ed25519: new Uint8Array(64).fill(0xbb) },
};
const PROOF = { seal: SEAL, leafIndex: 1, path: [ONES, ZERO_HASH] };
const BODY = Uint8Array.of(1, 2, 3);

const FRAMES: Readonly<Record<string, Frame>> = {
  sealed: {
    kind: "sealed",
    epoch: 3 as Epoch,
    seal: SEAL,
    items: [
      { index: 0, body: BODY },
      { index: 2, body: BODY },
    ],
    complement: new Uint8Array(32).fill(0x11),
  },
  relayed: { kind: "relayed", epoch: 3 as Epoch, messages: [{ body: BODY, proof: PROOF }] },
  status: {
    kind: "status",
    epoch: 3 as Epoch,
    status: { view: 5 as View, active: true, executed: 258 as Sequence, stable: 256 as Sequence },
    lanes: [7 as Nonce],
  },
};

const QUESTIONS: Readonly<Record<string, Question>> = {
  bundles: { kind: "bundles", digests: [ONES] },
  batches: { kind: "batches", digests: [] },
  committed: { kind: "committed", from: 66_051 as Sequence },
  snapshot: { kind: "snapshot", above: 66_051 as Sequence },
  chunk: { kind: "chunk", sequence: 66_051 as Sequence, number: 258 },
  "epoch-end": { kind: "epoch-end", epoch: 3 as Epoch },
};

/** Short encodings stand here in full; long ones by their length and BLAKE3. */
function golden<T>(codec: Codec<T>, value: T): string {
  const bytes = encode(codec, value);
  return bytes.length <= 128 ? bytes.toHex() : `${bytes.length} ${hashOf("record", bytes)}`;
}

describe("the wire between nodes keeps its bytes", () => {
  test("frames", () => {
    expect(Object.values(FRAMES).map((frame) => golden(frameCodec, frame))).toMatchSnapshot();
  });

  test("a status, byte by byte: variant 2, epoch 3, view 5, active, executed 258, stable 256, one lane", () => {
    expect(golden(frameCodec, FRAMES["status"] as Frame)).toBe(
      "02000000" +
        "0300000000000000" +
        "0500000000000000" +
        "01" +
        "0201000000000000" +
        "0001000000000000" +
        "0100000000000000" +
        "0700000000000000",
    );
  });

  test("questions", () => {
    expect(Object.values(QUESTIONS).map((question) => golden(questionCodec, question))).toEqual([
      `00000000${"0100000000000000"}${ONES}`,
      `01000000${"0000000000000000"}`,
      `02000000${"0302010000000000"}`,
      `07000000${"0302010000000000"}`,
      `08000000${"0302010000000000"}02010000`,
      `09000000${"0300000000000000"}`,
    ]);
  });

  test("answers", () => {
    const slots = [BODY];
    expect(golden(batchesAnswerCodec, { batches: [{ timestampMs: 1, bundles: [ONES] }] })).toBe(
      `0100000000000000${"0100000000000000"}${"0100000000000000"}${ONES}`,
    );
    expect(golden(committedAnswerCodec, { slots, checkpoint: null, first: 2 as Sequence })).toBe(
      `0100000000000000${"0300000000000000"}01020300${"0200000000000000"}`,
    );
    expect(golden(pieceAnswerCodec, { piece: BODY })).toBe(`01${"0300000000000000"}010203`);
    expect(golden(snapshotAnswerCodec, { offer: null })).toBe("00");
    const offer = { certificate: BODY, membership: BODY.subarray(1), manifest: BODY.subarray(2) };
    expect(golden(snapshotAnswerCodec, { offer })).toBe(
      `01${"0300000000000000"}010203${"0200000000000000"}0203${"0100000000000000"}03`,
    );
    expect(golden(bundlesAnswerCodec, { bundles: [{ body: BODY, proof: PROOF }] })).toMatchSnapshot();
  });

  test("what is cut at any byte, or goes on, is refused", () => {
    for (const frame of Object.values(FRAMES)) {
      const bytes = encode(frameCodec, frame);
      expect(decode(frameCodec, bytes)).toEqual(frame);
      const step = bytes.length > 500 ? 37 : 1;
      for (let end = 0; end < bytes.length; end += step) {
        expect(() => decode(frameCodec, bytes.subarray(0, end))).toThrow(DecodeError);
      }
      expect(() => decode(frameCodec, Uint8Array.of(...bytes, 0))).toThrow(DecodeError);
    }
  });
});
