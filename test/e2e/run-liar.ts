import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { encode } from "../../src/codec/codec.ts";
import { messageCodec } from "../../src/consensus/pbft/codec.ts";
import type { Commit, PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { statementOf } from "../../src/consensus/pbft/statements.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { hashOf } from "../../src/crypto/hash.ts";
import { merkleRoot } from "../../src/crypto/merkle.ts";
import { importPublicKeys } from "../../src/crypto/public-keys.ts";
import { createVerifier } from "../../src/crypto/verifier.ts";
import { bundleCodec, bundleStatement, holdBundle } from "../../src/dag/bundle.ts";
import { type Hash, ZERO_HASH } from "../../src/lib/hash.ts";
import type { Epoch, Nonce, Sequence, ValidatorIndex, View } from "../../src/membership/ids.ts";
import { sealedBytes } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import { createQuicTransport } from "../../src/network/quic-transport.ts";
import { loadConfig } from "../../src/node/config.ts";
import { networkContextOf, parseGenesis } from "../../src/node/genesis.ts";
import { keyFileAt } from "../../src/node/key-location.ts";
import { peerAddresses } from "../../src/node/peer-addresses.ts";
import type { Lane } from "../../src/node/ports.ts";
import { systemClock } from "../../src/node/system-clock.ts";
import { frameCodec, type SealedFrame, type StatusFrame } from "../../src/node/wire.ts";
import type { ViolationType } from "../../src/peering/peer-score.ts";

/**
 * A validator that lies: `bun run-liar.ts <node.toml> <victim's node id> <violation>`. It has a real key of the set, makes the
 * real handshake over real QUIC, and commits one kind of violation against one peer, again and again until it is killed.
 */
const [file = "", victim = "", kind = ""] = process.argv.slice(2);
const config = loadConfig(file);
const genesis = parseGenesis(readFileSync(config.node.genesis, "utf8"));
const network = networkContextOf(genesis);
const keys = await readKeyFile(keyFileAt(config.crypto.key_path), {});
const verifier = createVerifier({ hybrid: genesis.hybrid });
const self = network.set.indexOf(keys.nodeId) ?? (0 as ValidatorIndex);

/** Between two lies; there is nothing to wait for. */
const PAUSE_MS = 300;

interface Said {
  readonly leaf: Hash;
  readonly body: Uint8Array;
}

interface Lie {
  readonly lane: Lane;
  readonly frame: Uint8Array;
}

const view = 0 as View;
const { epoch } = network.set;
const digest = (label: string): Hash => hashOf("record", new TextEncoder().encode(label));

function message(said: PbftMessage): Said {
  return { leaf: statementDigest(network, statementOf(said)), body: encode(messageCodec, said) };
}

function commit(sequence: number, label: string): Commit {
  return { kind: "commit", view, sequence: sequence as Sequence, digest: digest(label) };
}

function bundle(firstNonce: number, timestampMs: number): Said {
  const made = {
    creator: self,
    term: 0 as Epoch,
    purpose: "application" as const,
    firstNonce: firstNonce as Nonce,
    timestampMs,
    parents: [ZERO_HASH],
    payloads: [Uint8Array.of(1)],
  };
  const leaf = statementDigest(network, bundleStatement(holdBundle(network, made).ref));
  return { leaf, body: encode(bundleCodec, made) };
}

/** One frame with one signature over all; `signed` other leaves than those that are sent make it a forgery. */
async function sealed(lane: Lane, said: readonly Said[], signed: readonly Said[] = said): Promise<Lie> {
  const root = merkleRoot(signed.map(({ leaf }) => leaf));
  const signature = await keys.sign(sealedBytes(network, self, signed.length, root));
  const seal = { signer: self, leafCount: said.length, signature };
  const items = said.map(({ body }, index) => ({ index, body }));
  const frame: SealedFrame = { kind: "sealed", epoch, seal, items, complement: new Uint8Array(0) };
  return { lane, frame: encode(frameCodec, frame) };
}

const LIES: Readonly<Record<ViolationType, () => Promise<readonly Lie[]>>> = {
  equivocation: async () => [await sealed("consensus", [message(commit(100, "one")), message(commit(100, "other"))])],
  "invalid-signature": async () => {
    return [await sealed("consensus", [message(commit(101, "sent"))], [message(commit(101, "signed"))])];
  },
  // Properly signed, and long settled: sequence 0 is the genesis state.
  replay: async () => {
    const old = message(commit(0, "old"));
    const frame = await sealed("consensus", Array<Said>(4_096).fill(old));
    return Array<Lie>(8).fill(frame);
  },
  "view-change-spam": async () => {
    const wishes = Array.from({ length: 200 }, (_, index) => {
      return message({ kind: "view-change", view: (index + 1) as View, stable: null, prepared: [] });
    });
    return [await sealed("consensus", wishes)];
  },
  // Claims to be far ahead, so that it is asked for what it has, and never answers.
  timeout: () => {
    const sequence = 1_000_000 as Sequence;
    const status = { view, active: true, executed: sequence, stable: 0 as Sequence };
    const lanes = network.set.roster.map(() => 0 as Nonce);
    const votes = network.set.roster.map(() => 0 as Sequence);
    const frame = encode(frameCodec, { kind: "status", epoch, status, lanes, votes } as StatusFrame);
    return Promise.resolve([{ lane: "consensus", frame }]);
  },
  malformed: () => Promise.resolve([{ lane: "consensus", frame: Uint8Array.from(randomBytes(64)) }]),
  "out-of-order": async () => {
    const nowMs = systemClock.nowMs();
    return [await sealed("dissemination", [bundle(500, nowMs), bundle(400, nowMs)])];
  },
  timestamp: async () => [await sealed("dissemination", [bundle(600, systemClock.nowMs() + 3_600_000)])],
};

const transport = createQuicTransport({
  nodeId: keys.nodeId,
  publicKeys: keys.publicKeys,
  sign: (bytes) => keys.sign(bytes),
  verify: (publicKeys, bytes, signature) => verifier.verify(importPublicKeys(publicKeys), bytes, signature),
  hybrid: genesis.hybrid,
  genesis: network.genesis,
  listen: { host: "127.0.0.1", port: config.network.quic_port },
  peers: peerAddresses(genesis, [], () => undefined).filter(({ nodeId }) => nodeId === victim),
  admit: () => "validator",
  maxPeers: 16,
  clock: systemClock,
  entropy: { bytes: (count) => Uint8Array.from(randomBytes(count)) },
});

await transport.start({
  onPeerConnected: () => undefined,
  onPeerDisconnected: () => undefined,
  onFrame: () => undefined,
  onRequest: () => new Promise(() => undefined),
});

const lies = await LIES[kind as ViolationType]();
setInterval(() => {
  const connected = transport.peers().find(({ nodeId }) => nodeId === victim);
  if (connected !== undefined) for (const { lane, frame } of lies) transport.send(connected.nodeId, lane, frame);
}, PAUSE_MS);
