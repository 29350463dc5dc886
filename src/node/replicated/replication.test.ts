import { expect, test } from "bun:test";
import { membershipOf, networkOf } from "../../../test/cluster/signing.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import { genesisState } from "../../replication/executor.ts";
import { KeyValueStore } from "../../replication/key-value/key-value-store.ts";
import { MemoryDatabase } from "../../storage/memory-database.ts";
import { Ledger } from "../ledger.ts";
import { numberKey } from "../ledger-keys.ts";
import { WriteBatch } from "../write-batch.ts";
import { Replication } from "./replication.ts";
import { SnapshotStore } from "./snapshot-store.ts";

const network = networkOf(4);
const membership = membershipOf(network);

interface Scene {
  readonly database: MemoryDatabase;
  readonly ledger: Ledger;
}

const sceneOf = (): Scene => {
  const database = new MemoryDatabase();
  return { database, ledger: new Ledger(database, network) };
};

const newReplication = (): Replication =>
  new Replication({
    name: "key-value",
    newApplication: () => new KeyValueStore(),
    takeChanges: null,
    snapshotInterval: 10,
    snapshotsKept: 2,
    log: () => undefined,
  });

const begin = genesisState(network, membership, newReplication().firstRoot);
const execution = { ...begin, sequence: 32 as Sequence, position: 40 as Position };

test("no snapshot is taken of a batch whose snapshot is being taken over from peers", async () => {
  const { database, ledger } = sceneOf();
  const replication = newReplication();
  await replication.restore({ network, ledger, database }, begin);
  const taken = async (): Promise<number> => (await new SnapshotStore(database).list(execution.sequence)).length;
  const place = replication.reserve(execution.sequence);
  expect(place?.isOvertaken()).toBe(false);
  await replication.maybeSnapshot({ execution, membership });
  expect(await taken()).toBe(0);
  place?.release();
  await replication.maybeSnapshot({ execution, membership });
  expect(await taken()).toBe(1);
  expect(replication.reserve(0 as Sequence)).toBeNull();
});

test("what lies before the log's beginning goes at the next start, where a crash left it", async () => {
  const { database, ledger } = sceneOf();
  const before = newReplication();
  await before.restore({ network, ledger, database }, begin);
  await before.maybeSnapshot({ execution, membership });
  const batch = new WriteBatch();
  ledger.recordLogStart(batch, { sequence: 33 as Sequence, position: 41 as Position });
  for (const left of [5, 6, 33]) batch.put("log", numberKey(left), Uint8Array.of(left));
  await database.write(batch.finish());
  await newReplication().restore({ network, ledger: new Ledger(database, network), database }, execution);
  expect(await ledger.sequencesFrom(0, 9)).toEqual([33 as Sequence]);
});
