import { describe, expect, test } from "bun:test";
import { networkOf, prove } from "../../test/cluster/signing.ts";
import type { EngineEvent } from "../consensus/engine.ts";
import { decode, encode } from "../codec/codec.ts";
import { bundleCodec, bundleStatement, holdBundle } from "../dag/bundle.ts";
import { sealEnvelope } from "../dag/conflict-keys.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import { statementDigest } from "../membership/statement.ts";
import { MemoryDatabase } from "../storage/memory-database.ts";
import { answerQuestion } from "./answers.ts";
import { DagLedger } from "./dag-ledger.ts";
import { DagPool } from "./dag-pool.ts";
import { DagSync } from "./dag-sync.ts";
import type { StoredBundle } from "./ledger.ts";
import { formBundle } from "./own-lane.ts";
import type { DagCertificate } from "../consensus/dag-engine.ts";
import { type AboutDag, type DagAnswer, dagAnswerCodec, type ProvenBody, questionCodec } from "./wire.ts";
import { WriteBatch } from "./write-batch.ts";

const NETWORK = networkOf(4);
const ASKED = 2 as ValidatorIndex;

/** A bundle of one vertex of so many bytes. */
function bundleOf(creator: number, nonce: number, size = 10): StoredBundle {
  const place = creator as ValidatorIndex;
  const formed = formBundle(NETWORK, {
    creator: place,
    term: NETWORK.set.termOf(place),
    purpose: "dag",
    firstNonce: nonce as Nonce,
    timestampMs: 1,
    parents: [NETWORK.genesis, NETWORK.genesis],
    payloads: [sealEnvelope({ conflictKeys: [], payload: new Uint8Array(size).fill(nonce) })],
  });
  const [proof] = prove(NETWORK, place, [statementDigest(NETWORK, bundleStatement(formed.held.ref))]);
  if (proof === undefined) throw new Error("a proof");
  return { ...formed, proof };
}

/** Asks a node that holds these, whose frontier is `above`; `alter` is the lie of the one that is asked. */
async function sync(
  held: readonly StoredBundle[],
  above: readonly number[],
  alter: (answer: DagAnswer) => DagAnswer = (answer) => answer,
): Promise<{
  readonly taken: readonly StoredBundle[];
  readonly events: readonly EngineEvent<never>[];
  readonly pages: number;
}> {
  const database = new MemoryDatabase();
  const ledger = new DagLedger(database, NETWORK);
  const batch = new WriteBatch();
  for (const stored of held) ledger.store(batch, stored);
  await database.write(batch.finish());
  const claimOf = (): null => null;
  const passed = (): readonly [] => [];
  const dag = {
    ledger,
    pool: new DagPool([]),
    claimOf,
    passed,
    newestOf: claimOf,
    whenDurable: () => Promise.resolve(),
  };
  const engine = { dag: { frontier: () => above as readonly Nonce[] } };
  const epochs = { engine, network: NETWORK };
  const taken: StoredBundle[] = [];
  const events: EngineEvent<never>[] = [];
  let pages = 0;
  type Ports = ConstructorParameters<typeof DagSync<never>>[0];
  const catchUp = {
    askDag: async (_from: ValidatorIndex, about: AboutDag) => {
      pages += 1;
      const question = encode(questionCodec, { kind: "dag", ...about });
      const sources = { dag, epochs } as unknown as Parameters<typeof answerQuestion>[1];
      return alter(decode(dagAnswerCodec, await answerQuestion(question, sources)));
    },
    withProof: (certificate: DagCertificate) => Promise.resolve(certificate),
    openAll: (bodies: readonly ProvenBody[]) =>
      Promise.resolve(
        bodies.map(({ body, proof }) => ({ held: holdBundle(NETWORK, decode(bundleCodec, body)), body, proof })),
      ),
    reject: () => undefined,
  } as unknown as Ports["catchUp"];
  const one = new DagSync<never>({
    epochs: epochs as unknown as Ports["epochs"],
    catchUp,
    onBundles: (bundles) => {
      taken.push(...bundles);
      return Promise.resolve();
    },
    feed: (event) => events.push(event),
    now: () => ({ nowMs: 0, wallMs: 0 }),
  });
  await one.ask(ASKED, false);
  return { taken, events, pages };
}

describe("the exchange of what is missing by frontiers", () => {
  test("hands over what lies above each lane's frontier, in order, and nothing below", async () => {
    const held = [bundleOf(0, 1), bundleOf(0, 2), bundleOf(1, 1), bundleOf(3, 4), bundleOf(3, 5)];
    const { taken, events } = await sync(held, [1, 0, 0, 4]);
    expect(taken.map(({ held: { ref } }) => [Number(ref.creator), Number(ref.firstNonce)])).toEqual([
      [0, 2],
      [1, 1],
      [3, 5],
    ]);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ kind: "dag-claims", from: ASKED, isLast: true });
  });

  test("comes in pages that are bounded in bytes, each with its claims, until the last", async () => {
    const held = Array.from({ length: 12 }, (_, index) => bundleOf(index % 2, 1 + Math.floor(index / 2), 900_000 / 8));
    const large = Array.from({ length: 60 }, (_, index) => bundleOf(3, index + 1, 120_000));
    const { taken, events, pages } = await sync([...held, ...large], [0, 0, 0, 0]);
    expect(taken).toHaveLength(72);
    expect(pages).toBeGreaterThan(1);
    const lasts = events.map((event) => event.kind === "dag-claims" && event.isLast);
    expect(lasts).toEqual([...Array.from({ length: pages - 1 }, () => false), true]);
  });

  test("an answer that says nothing new for ever is an end, and a failure", async () => {
    const again = [bundleOf(0, 1)];
    const { events, pages } = await sync(again, [0, 0, 0, 0], (answer) => ({ ...answer, isLast: false }));
    expect(pages).toBe(2);
    expect(events.map(({ kind }) => kind)).toEqual(["dag-claims", "dag-sync-failed"]);
  });
});
