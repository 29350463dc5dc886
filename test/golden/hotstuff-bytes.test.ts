import { expect, test } from "bun:test";
import { decode, encode } from "../../src/codec/codec.ts";
import { messageCodec } from "../../src/consensus/hotstuff/codec.ts";
import type { Block, HotStuffMessage } from "../../src/consensus/hotstuff/messages.ts";
import { blockHash } from "../../src/consensus/hotstuff/statements.ts";
import { batchDigest, NULL_BATCH } from "../../src/dag/batch.ts";
import { toHash } from "../../src/lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../src/membership/ids.ts";

/** `UPDATE_GOLDEN=1 bun test test/golden` rewrites the file. A change here breaks networks that run and disks that are written. */
const isUpdate = process.env["UPDATE_GOLDEN"] === "1";

const hash = (byte: number): ReturnType<typeof toHash> => toHash(new Uint8Array(32).fill(byte));
const ref = { view: 6 as View, block: hash(0xb6) };

const empty: Block = {
  view: 7 as View,
  justify: ref,
  sequence: 3 as Sequence,
  digest: batchDigest(NULL_BATCH),
  absences: [],
};
const blaming: Block = {
  ...empty,
  absences: [{ validator: 2 as ValidatorIndex, failures: 1, until: 23 as View }],
};
const proposal = (block: Block): HotStuffMessage => ({
  kind: "proposal",
  block,
  batch: NULL_BATCH,
  qc: null,
  tc: null,
});

const MESSAGES: Readonly<Record<string, HotStuffMessage>> = {
  "proposal, leaders in turn": proposal(empty),
  "proposal, leaders by reputation": proposal(blaming),
  vote: { kind: "vote", ...ref },
  commit: { kind: "commit", view: 6 as View, sequence: 2 as Sequence, digest: hash(0xd2) },
  timeout: { kind: "timeout", view: 8 as View, high: ref },
  checkpoint: { kind: "checkpoint", sequence: 32 as Sequence, stateDigest: hash(0x5d) },
  ask: { kind: "ask", block: hash(0xb6), above: 4 as View },
  "certificates, none": { kind: "certificates", qc: null, tc: null },
};

test("the bytes of HotStuff's messages and the hashes of its blocks are those of before", async () => {
  const lines = Object.entries(MESSAGES).flatMap(([name, message]) => {
    const bytes = encode(messageCodec, message);
    expect(decode(messageCodec, bytes)).toEqual(message);
    const line = `${name}: ${Buffer.from(bytes).toString("hex")}`;
    return message.kind === "proposal" ? [line, `  its block: ${blockHash(message.block)}`] : [line];
  });
  const text = `${lines.join("\n")}\n`;
  const file = new URL("./hotstuff/bytes.txt", import.meta.url);
  if (isUpdate) await Bun.write(file, text);
  expect(text).toBe(await Bun.file(file).text());
});
