import { expect, test } from "bun:test";
import { networkOf, prove } from "../../test/cluster/signing.ts";
import { bundleStatement } from "../dag/bundle.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import { statementDigest } from "../membership/statement.ts";
import { MemoryDatabase } from "../storage/memory-database.ts";
import { BundlePool } from "./bundle-pool.ts";
import { Ledger, type StoredBundle } from "./ledger.ts";
import { formBundle } from "./own-lane.ts";

const NETWORK = networkOf(1);
const CREATOR = 0 as ValidatorIndex;

const BUNDLES = 40;
const PAYLOAD_BYTES = 100_000;

/** A bundle of about 900 kB. */
function bundle(number: number): StoredBundle {
  const formed = formBundle(NETWORK, {
    creator: CREATOR,
    term: NETWORK.set.termOf(CREATOR),
    purpose: "application",
    firstNonce: (number * 9 + 1) as Nonce,
    timestampMs: 1,
    parents: [NETWORK.genesis],
    payloads: Array.from({ length: 9 }, () => new Uint8Array(PAYLOAD_BYTES).fill(number)),
  });
  const [proof] = prove(NETWORK, CREATOR, [statementDigest(NETWORK, bundleStatement(formed.held.ref))]);
  if (proof === undefined) throw new Error("a proof");
  return { ...formed, proof };
}

test("what was executed stays in memory by its bytes, the newest first, and never twice", () => {
  const pool = new BundlePool(new Ledger(new MemoryDatabase(), NETWORK));
  const bundles = Array.from({ length: BUNDLES }, (_, number) => bundle(number));
  for (const stored of bundles) {
    pool.add(stored);
    pool.onExecuted(stored.held.ref);
    pool.keepExecuted(stored);
  }
  const kept = bundles.filter(({ held }) => pool.has(held.ref.digest));
  expect(kept).toEqual(bundles.slice(-18));
  expect(pool.at(CREATOR, 1)).toBeUndefined();
  expect([pool.pending(), pool.pendingBytesOf(CREATOR)]).toEqual([0, 0]);
});
