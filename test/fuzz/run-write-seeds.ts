/** Writes the corpus' seeds by the real encoders. Run by hand after a change of a format: `node scripts/bun.cjs test/fuzz/run-write-seeds.ts`. */
import { type Codec, encode } from "../../src/codec/codec.ts";
import { struct } from "../../src/codec/composites.ts";
import { hash } from "../../src/codec/primitives.ts";
import { checkpointCertificateCodec, committedSlotCodec } from "../../src/consensus/log-codec.ts";
import * as pbft from "../../src/consensus/pbft/codec.ts";
import type { NewView, PbftMessage, ViewChange } from "../../src/consensus/pbft/messages.ts";
import { statementOf } from "../../src/consensus/pbft/statements.ts";
import { nodeIdOf, type PublicKeys } from "../../src/crypto/identity.ts";
import { formatKeyFile, type StoredSeeds } from "../../src/crypto/key-file-format.ts";
import { batchCodec, batchDigest } from "../../src/dag/batch.ts";
import { bundleCodec } from "../../src/dag/bundle.ts";
import { type Hash, toHash } from "../../src/lib/hash.ts";
import { present } from "../../src/lib/assert.ts";
import type { Epoch, Nonce, Position, Sequence, ValidatorIndex, View } from "../../src/membership/ids.ts";
import { type Proof, proofCodec, sealCodec } from "../../src/membership/seal.ts";
import { type Phase, type Statement, statementDigest } from "../../src/membership/statement.ts";
import { messageHeader } from "../../src/network/message-assembler.ts";
import { formatGenesis } from "../../src/node/genesis.ts";
import { edgeCodec, finalizedCodec, metadataCodec } from "../../src/node/ledger-rows.ts";
import * as wire from "../../src/node/wire.ts";
import type { HandshakeEffect } from "../../src/peering/handshake.ts";
import { executionStateCodec, genesisState } from "../../src/replication/executor.ts";
import { membershipOf, networkOf, prove } from "../cluster/signing.ts";
import { keep } from "./corpus.ts";
import { machineOf, scriptBytes } from "./stream-targets.ts";

const network = networkOf(4);
const [ONES, TWOS] = [toHash(new Uint8Array(32).fill(1)), toHash(new Uint8Array(32).fill(2))];
const BATCH = { timestampMs: 1_700_000_000_000, bundles: [ONES, TWOS] };
const DIGEST = batchDigest(BATCH);

function seed<T>(target: string, name: string, codec: Codec<T>, value: T): void {
  keep(target, `seed-${name}`, encode(codec, value));
}

/** Seals are 4.6 KB each, so every validator signs all that it says here once. */
function proofsOf(signer: number, statements: readonly Statement[]): readonly Proof[] {
  const leaves = statements.map((statement) => statementDigest(network, statement));
  return prove(network, signer as ValidatorIndex, leaves);
}

function certificates(): {
  readonly viewChange: ViewChange;
  readonly newView: NewView;
  readonly commits: readonly Proof[];
} {
  const about = (phase: Phase, sequence: number): Statement => ({ phase, view: 0, sequence, digest: DIGEST });
  const statements = [
    { phase: "checkpoint", view: 0, sequence: 32, digest: ONES } as const,
    ...[33, 34].flatMap((sequence) => [about("pre-prepare", sequence), about("prepare", sequence)]),
    about("commit", 33),
    statementOf({ kind: "view-change", view: 3 as View, stable: null, prepared: [] }),
  ];
  const signed = [0, 1, 2].map((signer) => proofsOf(signer, statements));
  const at = (place: number): readonly Proof[] => signed.map((proofs) => present(proofs[place], "a proof"));
  const prepared = [33, 34].map((sequence, index) => {
    const [prePrepare] = at(1 + 2 * index);
    const prepares = at(2 + 2 * index).slice(1);
    const place = { view: 0 as View, sequence: sequence as Sequence, digest: DIGEST };
    return { ...place, prePrepare: present(prePrepare, "a proof"), prepares };
  });
  const stable = { epoch: 0 as Epoch, sequence: 32 as Sequence, stateDigest: ONES, proofs: at(0) };
  const viewChange: ViewChange = { kind: "view-change", view: 3 as View, stable, prepared };
  const empty: ViewChange = { ...viewChange, stable: null, prepared: [] };
  const parts = [empty, { ...viewChange, prepared: prepared.slice(0, 1) }, empty];
  const viewChanges = parts.map((message, index) => ({ message, proof: present(at(6)[index], "a proof") }));
  return { viewChange, newView: { kind: "new-view", view: 3 as View, viewChanges }, commits: at(5) };
}

function writePbft(): void {
  const { viewChange, newView, commits } = certificates();
  const place = { view: 2 as View, sequence: 9 as Sequence, digest: DIGEST };
  const messages: readonly PbftMessage[] = [
    { kind: "pre-prepare", ...place, batch: BATCH },
    { kind: "prepare", ...place },
    { kind: "commit", ...place },
    { kind: "checkpoint", sequence: 32 as Sequence, stateDigest: ONES },
    viewChange,
    newView,
  ];
  for (const message of messages) seed("pbft-message", message.kind, pbft.messageCodec, message);
  const certificate = { epoch: 0 as Epoch, view: 0 as View, digest: DIGEST, proofs: commits };
  seed("committed-slot", "three", committedSlotCodec, { sequence: 33 as Sequence, batch: BATCH, certificate });
  seed("checkpoint-certificate", "three", checkpointCertificateCodec, present(viewChange.stable, "stable"));
  seed("prepared-certificate", "three", pbft.preparedCertificateCodec, present(viewChange.prepared[0], "prepared"));
  const proof = present(proofsOf(3, [statementOf(newView)])[0], "a proof");
  seed("signed-new-view", "three", pbft.signedNewViewCodec, { message: newView, proof });
}

function writeWire(): void {
  const proof = present(proofsOf(1, [{ phase: "prepare", view: 1, sequence: 2, digest: DIGEST }])[0], "a proof");
  const body = Uint8Array.from({ length: 40 }, (_, index) => index);
  seed("frame", "sealed", wire.frameCodec, {
    kind: "sealed",
    epoch: 0 as Epoch,
    seal: proof.seal,
    items: [
      { index: 0, body },
      { index: 2, body: new Uint8Array(0) },
    ],
    complement: new Uint8Array(32).fill(0x11),
  });
  seed("frame", "relayed", wire.frameCodec, { kind: "relayed", epoch: 0 as Epoch, messages: [{ body, proof }] });
  seed("frame", "status", wire.frameCodec, {
    kind: "status",
    epoch: 0 as Epoch,
    status: { view: 5 as View, active: true, executed: 258 as Sequence, stable: 256 as Sequence },
    lanes: [7, 8, 9, 0].map((nonce) => nonce as Nonce),
  });
  seed("proven-body", "one", wire.provenBodyCodec, { body, proof });
  seed("question", "bundles", wire.questionCodec, { kind: "bundles", digests: [ONES, TWOS] });
  seed("question", "batches", wire.questionCodec, { kind: "batches", digests: [ONES] });
  seed("question", "committed", wire.questionCodec, { kind: "committed", from: 66_051 as Sequence });
  seed("question", "chunk", wire.questionCodec, { kind: "chunk", sequence: 66_051 as Sequence, number: 258 });
  seed("snapshot-answer", "one", wire.snapshotAnswerCodec, {
    offer: { certificate: body, membership: body.subarray(1), manifest: body.subarray(2) },
  });
  seed("piece-answer", "one", wire.pieceAnswerCodec, { piece: body });
  seed("bundles-answer", "one", wire.bundlesAnswerCodec, { bundles: [{ body, proof }] });
  seed("batches-answer", "two", wire.batchesAnswerCodec, { batches: [BATCH, { timestampMs: 0, bundles: [] }] });
  seed("committed-answer", "two", wire.committedAnswerCodec, {
    slots: [body, body.subarray(1)],
    checkpoint: body,
    first: 66_051 as Sequence,
  });
  seed("seal", "one", sealCodec, {
    ...proof.seal,
    signature: { ...proof.seal.signature, ed25519: new Uint8Array(64) },
  });
  const provenLeaf = struct<{ leaf: Hash; proof: Proof }>({ leaf: hash, proof: proofCodec });
  const leaves = Array.from({ length: 5 }, (_, index) => toHash(new Uint8Array(32).fill(index)));
  for (const index of [1, 4]) {
    const of = present(prove(network, 2 as ValidatorIndex, leaves)[index], "a proof");
    seed("proof", `leaf-${index}`, provenLeaf, { leaf: present(leaves[index], "a leaf"), proof: of });
  }
}

function writeRows(): void {
  const place = { creator: 1 as ValidatorIndex, firstNonce: 3 as Nonce };
  const payloads = [new Uint8Array([1, 2, 3]), new Uint8Array(0), new Uint8Array(100).fill(7)];
  const bundle = { ...place, timestampMs: 1_000, parents: [network.genesis], payloads };
  seed("bundle", "three", bundleCodec, { ...bundle, term: 0 as Epoch, purpose: "application" });
  seed("bundle", "membership", bundleCodec, {
    ...bundle,
    term: 0 as Epoch,
    purpose: "membership",
    payloads: payloads.slice(0, 1),
  });
  seed("batch", "two", batchCodec, BATCH);
  seed("batch", "null", batchCodec, { timestampMs: 0, bundles: [] });
  seed("execution-state", "genesis", executionStateCodec, genesisState(network, membershipOf(network)));
  seed("row-metadata", "bundle", metadataCodec, { kind: "bundle", ...place });
  const vertex = { kind: "vertex", ...place, bundle: ONES, index: 2, position: 99 as Position, height: 7 } as const;
  seed("row-metadata", "vertex", metadataCodec, vertex);
  const run = { bundle: ONES, ...place, count: 3, height: 7, batch: 5 as Sequence, timestampMs: 1_000 };
  seed("row-finalized", "run", finalizedCodec, run);
  seed("row-edge", "edge", edgeCodec, { timestampMs: 1_000, weight: 3 });
}

/** Both sides of one handshake, as scripts of what each of them meets. */
function writeHandshakes(): void {
  // The messages are another node's, or a machine would meet itself.
  const other = (message: Uint8Array): Uint8Array => {
    const changed = Uint8Array.from(message);
    changed.fill(9, 38, 70);
    return changed;
  };
  const sent = (effects: readonly HandshakeEffect[]): Uint8Array =>
    present(effects.flatMap((effect) => (effect.kind === "send" ? [effect.bytes] : []))[0], "a message");
  const hello = other(sent(machineOf("dialer").start()));
  const signature = { mlDsa: new Uint8Array(4627), ed25519: new Uint8Array(64) };
  const proof = sent(machineOf("listener").step({ kind: "signed", signature }));
  const welcome = Uint8Array.of(2, 0, 0, 0);
  const refusal = sent(machineOf("listener").step({ kind: "message", bytes: new Uint8Array(1) }));
  keep("handshake-listener", "seed-whole", scriptBytes([hello, "bound", "signed", proof, "holds"]));
  keep("handshake-listener", "seed-early-proof", scriptBytes(["bound", hello, proof, "signed", "fails"]));
  keep("handshake-dialer", "seed-whole", scriptBytes([hello, proof, "bound", "holds", "signed", welcome]));
  keep("handshake-dialer", "seed-refused", scriptBytes(["bound", hello, refusal]));
  const frame = (size: number): Uint8Array => Buffer.concat([messageHeader(size), new Uint8Array(size).fill(size)]);
  keep("assembler", "seed-frames", Buffer.concat([frame(0), frame(0), frame(5), frame(300), frame(4_096), frame(1)]));
}

function writeTexts(): void {
  const text = (target: string, name: string, content: string): string =>
    keep(target, `seed-${name}`, new TextEncoder().encode(content));
  const keysOf = (place: number, hybrid: boolean): PublicKeys => ({
    mlDsa: new Uint8Array(2592).fill(place),
    ed25519: hybrid ? new Uint8Array(32).fill(place) : null,
  });
  const plain: StoredSeeds = {
    kind: "plain",
    seeds: { mlDsaSeed: new Uint8Array(32), ed25519Seed: new Uint8Array(32) },
  };
  const encrypted = { salt: new Uint8Array(16), nonce: new Uint8Array(12), ciphertext: new Uint8Array(48) };
  for (const [name, hybrid, stored] of [
    ["plain", true, plain],
    ["encrypted", false, { kind: "encrypted", encrypted }],
  ] as const) {
    const publicKeys = keysOf(1, hybrid);
    text("key-file", name, formatKeyFile({ nodeId: nodeIdOf(publicKeys), publicKeys, stored }));
  }
  const validators = [1, 2].map((place) => {
    const publicKeys = keysOf(place, true);
    return { name: `node-${place}`, nodeId: nodeIdOf(publicKeys), publicKeys, address: `127.0.0.1:900${place}` };
  });
  const createdAt = "2026-01-31T12:00:00Z";
  text(
    "genesis",
    "two",
    formatGenesis({ network: "net", createdAt, engine: "pbft", hybrid: true, policy: { min: 1, max: 5 }, validators }),
  );
  text("config", "some", CONFIG);
  keep("api-packed", "seed-three", Uint8Array.of(1, 0, 0, 0, 9, 0, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3));
  text("api-json", "one", '{"payload":"AAEC"}');
  text("api-json", "three", '{"payloads":["AAEC","","/////w=="]}');
}

const CONFIG = `# a node
[node]
data_dir = "data"
genesis = "genesis.json"
[network]
listen_addr = "0.0.0.0:9000"
quic_port = 9000
max_peers = 16
bootstrap_peers = ["127.0.0.1:9001", "/ip4/127.0.0.1/udp/9002/quic-v1"]
[api]
http_enabled = true
http_port = 8080
cors_enabled = true
cors_origins = ["https://example.org"]
[metrics]
enabled = true
port = 9100
[logging]
level = "info"
`;

writePbft();
writeWire();
writeRows();
writeHandshakes();
writeTexts();
