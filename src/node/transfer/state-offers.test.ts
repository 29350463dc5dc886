import { expect, test } from "bun:test";
import { membershipOf, networkOf } from "../../../test/cluster/signing.ts";
import { encode } from "../../codec/codec.ts";
import { hashOf } from "../../crypto/hash.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import { executionStateCodec, genesisState } from "../../replication/executor.ts";
import { SNAPSHOT_FORMAT } from "../../replication/snapshot.ts";
import { MemoryDatabase } from "../../storage/memory-database.ts";
import { ProofLedger } from "../proof-ledger.ts";
import { SnapshotStore } from "../replicated/snapshot-store.ts";
import { WriteBatch } from "../write-batch.ts";
import { StateOffers } from "./state-offers.ts";

const network = networkOf(4);
const membership = membershipOf(network);

/** A snapshot, and a quorum's word of that state or of another one; null for none. */
async function keep(database: MemoryDatabase, sequence: number, word: "same" | "other" | null): Promise<void> {
  const root = hashOf("record", Uint8Array.of(sequence));
  const place = { sequence: sequence as Sequence, position: sequence as Position };
  const execution = { ...genesisState(network, membership, root), ...place };
  const manifest = { format: SNAPSHOT_FORMAT, application: "a", ...place, root, sessionChunks: [], stateChunks: [] };
  await new SnapshotStore(database).writeHead({ execution, membership, manifest });
  if (word === null) return;
  const batch = new WriteBatch();
  const said = word === "same" ? execution : { ...execution, application: hashOf("record", Uint8Array.of(0)) };
  const state = encode(executionStateCodec, said);
  const certificate = { epoch: network.set.epoch, phase: "checkpoint" as const, state, proofs: [] };
  new ProofLedger(database).recordCertificate(batch, place.sequence, certificate);
  await database.write(batch.finish());
}

test("the newest state that a quorum certified is offered, and made once for all who ask", async () => {
  const database = new MemoryDatabase();
  await keep(database, 32, "same");
  await keep(database, 64, "other");
  await keep(database, 96, null);
  const offers = new StateOffers(database);
  const offer = await offers.newest(0 as Sequence);
  expect(offer).not.toBeNull();
  expect((await offers.certified(96 as Sequence))?.snapshot.execution.sequence).toBe(32 as Sequence);
  expect(await offers.newest(32 as Sequence)).toBeNull();
  // The very bytes of before, however often.
  for (let time = 0; time < 3; time++) expect(await offers.newest(31 as Sequence)).toBe(offer);
  await keep(database, 96, "same");
  const next = await offers.newest(31 as Sequence);
  expect(next).not.toBe(offer);
  await new SnapshotStore(database).forgetAfter(64 as Sequence);
  expect((await offers.newest(31 as Sequence))?.manifest).toEqual(offer?.manifest);
});
