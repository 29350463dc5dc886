import { expect, test } from "bun:test";
import { membershipOf, networkOf } from "../../../test/cluster/signing.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import { genesisState } from "../../replication/executor.ts";
import { KeyValueStore } from "../../replication/key-value/key-value-store.ts";
import { MemoryDatabase } from "../../storage/memory-database.ts";
import { Ledger } from "../ledger.ts";
import { Replication } from "./replication.ts";
import { SnapshotStore } from "./snapshot-store.ts";

const network = networkOf(4);
const membership = membershipOf(network);

test("no snapshot is taken of a batch whose snapshot is being taken over from peers", async () => {
  const database = new MemoryDatabase();
  const ledger = new Ledger(database, network);
  const replication = new Replication({
    name: "key-value",
    newApplication: () => new KeyValueStore(),
    takeChanges: null,
    snapshotInterval: 10,
    snapshotsKept: 2,
    log: () => undefined,
  });
  const begin = genesisState(network, membership, replication.firstRoot);
  await replication.restore({ network, ledger, database }, begin);
  const execution = { ...begin, sequence: 32 as Sequence, position: 40 as Position };
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
