import { describe, expect, test } from "bun:test";
import { membershipOf, networkOf } from "../../../test/cluster/signing.ts";
import { encode } from "../../codec/codec.ts";
import { StateDivergence } from "../../consensus/checkpoint.ts";
import { hashOf } from "../../crypto/hash.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import { type ExecutionState, executionStateCodec, genesisState } from "../../replication/executor.ts";
import { SNAPSHOT_FORMAT } from "../../replication/snapshot.ts";
import { MemoryDatabase, MemoryDisk } from "../../storage/memory-database.ts";
import { Ledger } from "../ledger.ts";
import { ProofLedger } from "../proof-ledger.ts";
import { SnapshotStore } from "../replicated/snapshot-store.ts";
import { WriteBatch } from "../write-batch.ts";
import { recordDivergence, recordedDivergence, recover, type RecoveryParts } from "./recovery.ts";

const network = networkOf(4);
const membership = membershipOf(network);
const { nodeId } = present(network.set.roster[0], "a validator");

function stateAt(sequence: number): ExecutionState {
  const root: Hash = hashOf("record", Uint8Array.of(sequence));
  const begin = genesisState(network, membership, root);
  return { ...begin, sequence: sequence as Sequence, position: (10 * sequence) as Position };
}

const good = stateAt(32);
const wrong = stateAt(64);
const executed = stateAt(70);
const certified = { sequence: wrong.sequence, stateDigest: hashOf("record", Uint8Array.of(1)) };
const divergence = new StateDivergence(certified, hashOf("record", Uint8Array.of(2)));

/** A node with a certified snapshot, a later one of a wrong state, and more that was executed on that. */
async function divergedDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const database = new MemoryDatabase({ disk });
  const snapshots = new SnapshotStore(database);
  for (const execution of [good, wrong]) {
    const { sequence, position, application } = execution;
    const root = present(application, "a root");
    const chunks = { sessionChunks: [root, root], stateChunks: [] };
    await snapshots.writeChunk(sequence, 1, new Uint8Array(1));
    await snapshots.writeChunk(sequence, 2, new Uint8Array(1));
    const manifest = { format: SNAPSHOT_FORMAT, application: "key-value", sequence, position, root, ...chunks };
    await snapshots.writeHead({ execution, membership, manifest });
  }
  const batch = new WriteBatch();
  new Ledger(database, network).recordState(batch, { execution: executed, membership });
  new ProofLedger(database).recordCertificate(batch, good.sequence, {
    epoch: network.set.epoch,
    phase: "checkpoint",
    state: encode(executionStateCodec, good),
    proofs: [],
  });
  await database.write(batch.finish());
  await recordDivergence(database, divergence);
  return disk;
}

function partsOn(database: MemoryDatabase): RecoveryParts {
  return { network, membership, nodeId, engine: "pbft", database, log: () => undefined };
}

interface Seen {
  readonly executed: number | null;
  readonly snapshots: readonly number[];
  readonly isSilent: boolean;
  readonly diverged: number | null;
}

async function seenOn(disk: MemoryDisk): Promise<Seen> {
  const database = new MemoryDatabase({ disk });
  const ledger = new Ledger(database, network);
  const list = await new SnapshotStore(database).list(executed.sequence);
  return {
    executed: (await ledger.loadExecution())?.sequence ?? null,
    snapshots: list.map(({ execution: { sequence } }) => sequence),
    isSilent: (await ledger.loadSilence()) !== null,
    diverged: (await recordedDivergence(database))?.sequence ?? null,
  };
}

const BEFORE: Seen = { executed: 70, snapshots: [64, 32], isSilent: false, diverged: 64 };
const AFTER: Seen = { executed: 32, snapshots: [32], isSilent: true, diverged: null };

describe("going back to a certified state", () => {
  test("is all or nothing wherever it is cut off, and the next start takes it up again", async () => {
    const seen: unknown[] = [];
    for (let cut = 0; ; cut++) {
      const disk = await divergedDisk();
      let writes = 0;
      const intercept = ({ kind }: { readonly kind: string }): void => {
        if (kind === "write" && writes++ === cut) throw new Error("the process ends here");
      };
      const isWhole = await recover(partsOn(new MemoryDatabase({ disk, intercept })), divergence).then(
        () => true,
        () => false,
      );
      const found = await seenOn(disk);
      seen.push(found);
      expect([BEFORE, AFTER]).toContainEqual(found);
      const database = new MemoryDatabase({ disk });
      const again = await recordedDivergence(database);
      if (again !== null) await recover(partsOn(database), again);
      expect(await seenOn(disk)).toEqual(AFTER);
      if (isWhole) break;
    }
    expect(seen[0]).toEqual(BEFORE);
    expect(seen.at(-1)).toEqual(AFTER);
    expect(seen.length).toBeGreaterThan(2);
  });

  test("is not tried for ever where it did not help", async () => {
    const database = new MemoryDatabase({ disk: await divergedDisk() });
    await recover(partsOn(database), divergence);
    await recordDivergence(database, divergence);
    await expect(recover(partsOn(database), divergence)).rejects.toThrow("another version");
    // An operator may have mended the application meanwhile.
    expect(await recordedDivergence(database)).toBeNull();
  });
});
