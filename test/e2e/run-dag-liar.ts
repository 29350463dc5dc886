import { randomBytes, randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { decode, encode } from "../../src/codec/codec.ts";
import { AvalancheEngine, type AvalancheOptions } from "../../src/consensus/avalanche/engine.ts";
import type { Answer, Query } from "../../src/consensus/avalanche/messages.ts";
import type { Effect, Engine, EngineEvent } from "../../src/consensus/engine.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { KeyRing } from "../../src/crypto/key-ring.ts";
import { merkleRoot } from "../../src/crypto/merkle.ts";
import { importPublicKeys } from "../../src/crypto/public-keys.ts";
import { createVerifier } from "../../src/crypto/verifier.ts";
import { bundleCodec, bundleStatement, holdBundle } from "../../src/dag/bundle.ts";
import { sealEnvelope } from "../../src/dag/conflict-keys.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import { sealedBytes } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import { ALPN, createQuicTransport } from "../../src/network/quic-transport.ts";
import { loadConfig } from "../../src/node/config.ts";
import { ConsensusNode } from "../../src/node/consensus-node.ts";
import type { NodeMessage } from "../../src/node/engines.ts";
import { firstMembership, networkContextOf, parseGenesis } from "../../src/node/genesis.ts";
import { keyFileAt } from "../../src/node/key-location.ts";
import { peerAddresses } from "../../src/node/peer-addresses.ts";
import type { Lane, SendOutcome, Transport } from "../../src/node/ports.ts";
import { systemClock } from "../../src/node/system-clock.ts";
import { type Frame, frameCodec, type SealedFrame } from "../../src/node/wire.ts";
import { encodeTransfer, transferKey } from "../../src/replication/ledger/transfer.ts";
import { MemoryDatabase } from "../../src/storage/memory-database.ts";

/**
 * A validator of a leaderless network that lies: `bun run-dag-liar.ts <node.toml> <lie>`. It is the production node, with a
 * real key and real QUIC, and either an engine whose words are false or a transport that shows its peers two histories.
 *
 * - `votes`: answers every poll at random or against what it knows, twice and differently, and accepts and commits to every
 *   member of every conflict.
 * - `malformed`: beside each answer says something that has no meaning.
 * - `spend`: as `votes`, and spends what it owns twice, on a ledger.
 * - `fork`: says one bundle to some and another one in its place to others.
 */
const [file = "", lie = ""] = process.argv.slice(2);
const config = loadConfig(file);
const genesis = parseGenesis(readFileSync(config.node.genesis, "utf8"));
const network = networkContextOf(genesis);
const keys = await readKeyFile(keyFileAt(config.crypto.key_path), {});
const verifier = createVerifier({ hybrid: genesis.hybrid });
const self = network.set.indexOf(keys.nodeId) ?? (0 as ValidatorIndex);
const victims = network.set.indices().filter((index) => index !== self);

/** Between two vertices of its own. */
const PAUSE_MS = 250;

/** So many numbers of its account are each given to two transfers. */
const SPENDS = 16;

const isVotingFalsely = lie === "votes" || lie === "spend";

/** Queries that were not answered yet. */
const QUERIES_MAX = 1_024;

const entropy = { bytes: (count: number): Uint8Array => Uint8Array.from(randomBytes(count)) };

class LyingEngine implements Engine<NodeMessage> {
  readonly name: string;
  readonly #inner: Engine<NodeMessage>;
  readonly #queries = new Map<string, Query>();
  readonly #accepted = new Set<Hash>();

  constructor(options: AvalancheOptions<PbftMessage>) {
    this.#inner = new AvalancheEngine(options);
    this.name = this.#inner.name;
  }

  get wire(): Engine<NodeMessage>["wire"] {
    return this.#inner.wire;
  }

  get dag(): Engine<NodeMessage>["dag"] {
    return this.#inner.dag;
  }

  step(event: EngineEvent<NodeMessage>): readonly Effect<NodeMessage>[] {
    if (event.kind === "message" && event.signed.message.kind === "query") {
      if (this.#queries.size >= QUERIES_MAX) this.#queries.clear();
      this.#queries.set(`${event.signed.proof.seal.signer}/${event.signed.message.poll}`, event.signed.message);
    }
    const effects = this.#inner.step(event).flatMap((effect) => this.#alter(effect));
    if (isVotingFalsely && event.kind === "dag-bundles")
      for (const { held } of event.bundles) effects.push(...this.#voteFor(held.ref.digest));
    return effects;
  }

  screen(from: ValidatorIndex, message: NodeMessage): ReturnType<Engine<NodeMessage>["screen"]> {
    return this.#inner.screen(from, message);
  }

  status(): ReturnType<Engine<NodeMessage>["status"]> {
    return this.#inner.status();
  }

  batchOf(digest: Hash): ReturnType<Engine<NodeMessage>["batchOf"]> {
    return this.#inner.batchOf(digest);
  }

  #alter(effect: Effect<NodeMessage>): readonly Effect<NodeMessage>[] {
    if (effect.kind !== "send" || effect.message.kind !== "answer") return [effect];
    const answer = effect.message;
    if (lie === "malformed") return [effect, { ...effect, message: { kind: "votes", entries: [] } }];
    const query = this.#queries.get(`${answer.to}/${answer.poll}`);
    if (!isVotingFalsely || query === undefined) return [effect];
    const opposite: Answer = {
      ...answer,
      heads: query.lanes.map((lane, at) => (answer.heads[at] === 0 ? lane.length : 0)),
    };
    return [opposite, atRandom(answer, query)].map((message) => ({ ...effect, message }));
  }

  /** For its place and all its vertices, whatever they conflict with, and without any certificate. */
  #voteFor(bundle: Hash): readonly Effect<NodeMessage>[] {
    if (this.#accepted.has(bundle)) return [];
    this.#accepted.add(bundle);
    const entries = (["accept", "commit"] as const).map((level) => ({ level, bundle, except: [] }));
    return [{ kind: "broadcast", message: { kind: "votes", entries } }];
  }
}

function atRandom(answer: Answer, { lanes }: Query): Answer {
  const heads = lanes.map((lane) => randomInt(lane.length + 1));
  const named = [...new Set(lanes.flat())].slice(0, 64);
  return { ...answer, heads, dissents: named.map((bundle) => ({ bundle, vertices: [randomInt(4)] })) };
}

/** Shows some peers another bundle in the place of each that this node made. */
function forking(inner: Transport): Transport {
  const told = new WeakMap<Uint8Array, Promise<Uint8Array | null>>();
  return {
    start: (handler) => inner.start(handler),
    request: (peer, body, options) => inner.request(peer, body, options),
    peers: () => inner.peers(),
    disconnect: (peer, reason) => inner.disconnect(peer, reason),
    close: () => inner.close(),
    send: (peer: NodeId, lane: Lane, frame: Uint8Array): SendOutcome => {
      const isFooled = network.set.indexOf(peer) === victims.at(-1);
      if (lane !== "dissemination" || !isFooled) return inner.send(peer, lane, frame);
      const other = told.get(frame) ?? forkOf(frame);
      told.set(frame, other);
      void other.then((fork) => inner.send(peer, lane, fork ?? frame));
      return "queued";
    },
  };
}

async function forkOf(bytes: Uint8Array): Promise<Uint8Array | null> {
  const frame: Frame = decode(frameCodec, bytes);
  if (frame.kind !== "sealed") return null;
  const made = frame.items.map(({ body }, index) => {
    const bundle = decode(bundleCodec, body);
    const payloads = bundle.payloads.map((_, at) => envelope(`the other history, ${bundle.firstNonce + at}`));
    const fork = bundle.purpose === "dag" ? { ...bundle, payloads } : bundle;
    const leaf = statementDigest(network, bundleStatement(holdBundle(network, fork).ref));
    return { item: { index, body: encode(bundleCodec, fork) }, leaf };
  });
  const leaves = made.map(({ leaf }) => leaf);
  const signature = await keys.sign(sealedBytes(network, self, leaves.length, merkleRoot(leaves)));
  const seal = { signer: self, leafCount: leaves.length, signature };
  const forked: SealedFrame = { ...frame, seal, items: made.map(({ item }) => item), complement: new Uint8Array(0) };
  return encode(frameCodec, forked);
}

function envelope(text: string): Uint8Array {
  return sealEnvelope({ conflictKeys: [], payload: new TextEncoder().encode(text) });
}

const quic = createQuicTransport({
  nodeId: keys.nodeId,
  publicKeys: keys.publicKeys,
  sign: (bytes) => keys.sign(bytes),
  verify: (publicKeys, bytes, signature) => verifier.verify(importPublicKeys(publicKeys), bytes, signature),
  hybrid: genesis.hybrid,
  genesis: network.genesis,
  listen: { host: "127.0.0.1", port: config.network.quic_port },
  peers: peerAddresses(genesis, config.network.bootstrap_peers, () => undefined),
  admit: () => "validator",
  maxPeers: 16,
  clock: systemClock,
  entropy,
});

const ring = new KeyRing(verifier);
for (const { nodeId, publicKeys } of network.set.roster) ring.add(nodeId, publicKeys);

const node = await ConsensusNode.open({
  network,
  nodeId: keys.nodeId,
  database: new MemoryDatabase(),
  transport: lie === "fork" ? forking(quic) : quic,
  signer: keys,
  verifier: ring,
  membership: firstMembership(genesis),
  clock: systemClock,
  observer: {
    log: () => undefined,
    onTrace: () => undefined,
    onTurn: () => undefined,
    onProposed: () => undefined,
    onFinalized: () => undefined,
    onFinality: () => undefined,
    onIgnored: () => undefined,
    onRejected: () => undefined,
    onEquivocation: () => undefined,
  },
  timeouts: { floorMs: 2_000, initialMs: 4_000, capMs: 60_000 },
  limits: { payloadBytesMax: 1_024, pendingVerticesMax: 10_000, submissionVerticesMax: 100 },
  engine: "avalanche",
  entropy,
  makeLeaderless: (options) => new LyingEngine(options),
  alpn: ALPN,
  onFatal: (error) => {
    throw error;
  },
});
await node.start();

/** Whether these were taken in: they are refused before enough peers are connected, and after it lost its place. */
async function submit(...payloads: readonly Uint8Array[]): Promise<boolean> {
  const { accepted, finalized } = node.submit(payloads);
  // What lost is no news to a liar.
  finalized.catch(() => undefined);
  return await accepted.then(
    () => true,
    () => false,
  );
}

/** Each number in the same bundle as its rival, or in the one before it. */
async function spendTwice(number: number): Promise<void> {
  const [first, second] = [spend(number, 0), spend(number, 1)];
  if (number % 2 === 0) while (!(await submit(first, second))) await Bun.sleep(PAUSE_MS);
  else for (const one of [first, second]) while (!(await submit(one))) await Bun.sleep(PAUSE_MS);
}

if (lie === "fork")
  for (let count = 1; ; count++) {
    await submit(envelope(`one history, ${count}`));
    await Bun.sleep(PAUSE_MS);
  }
if (lie === "spend") for (let number = 1; number <= SPENDS; number++) await spendTwice(number);

/** One unit of its own account for the main account of another validator; its node would refuse to say the second. */
function spend(number: number, to: number): Uint8Array {
  const others = genesis.validators.filter(({ nodeId }) => nodeId !== keys.nodeId);
  const own = genesis.validators.find(({ nodeId }) => nodeId === keys.nodeId);
  const transfer = { from: `${own?.name}/main`, to: `${others[to]?.name}/main`, amount: 1n, number };
  return sealEnvelope({ conflictKeys: [transferKey(transfer)], payload: encodeTransfer(transfer) });
}
