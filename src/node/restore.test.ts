import { expect, test } from "bun:test";
import { membershipOf, networkOf } from "../../test/cluster/signing.ts";
import { encode } from "../codec/codec.ts";
import { resolutionDigest, type ResolutionState } from "../dag/resolution-state.ts";
import { asciiBytes } from "../lib/ascii.ts";
import { present } from "../lib/assert.ts";
import type { Epoch } from "../membership/ids.ts";
import { executionStateCodec, genesisState } from "../replication/executor.ts";
import { MemoryDatabase } from "../storage/memory-database.ts";
import { Ledger } from "./ledger.ts";
import { type Restored, restoreNode } from "./restore.ts";
import { WriteBatch } from "./write-batch.ts";

const network = networkOf(4);
const membership = membershipOf(network);
const unit = { bundle: network.genesis, vertex: 1 };
const resolution: ResolutionState = {
  open: [],
  rulings: [{ epoch: 0 as Epoch, unit, won: true, sets: [network.genesis] }],
};

async function restoreWith(state: ResolutionState | null): Promise<Restored> {
  const database = new MemoryDatabase();
  const ledger = new Ledger(database, network);
  const batch = new WriteBatch();
  const execution = { ...genesisState(network, membership), resolution: resolutionDigest(resolution) };
  batch.put("consensus", asciiBytes("execution"), encode(executionStateCodec, execution));
  if (state !== null) ledger.recordResolution(batch, state);
  await database.write(batch.finish());
  const { nodeId } = present(network.set.roster[0], "a validator");
  return await restoreNode(ledger, { genesis: network.genesis, first: membership, nodeId, application: null });
}

test("what the log decided about open conflicts is there again after a restart", async () => {
  expect((await restoreWith(resolution)).resolution).toEqual(resolution);
});

test("a disk whose open conflicts are not those of its state is damaged", async () => {
  await expect(restoreWith(null)).rejects.toThrow("open conflicts");
  await expect(restoreWith({ ...resolution, rulings: [] })).rejects.toThrow("open conflicts");
});
