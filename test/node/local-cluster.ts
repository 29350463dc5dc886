import { createVerifier } from "../../src/crypto/verifier.ts";
import { KeyRing } from "../../src/crypto/key-ring.ts";
import { generateKeyPair, type NodeKeyPair } from "../../src/crypto/key-pair.ts";
import type { NodeId } from "../../src/crypto/identity.ts";
import { hashOf } from "../../src/crypto/hash.ts";
import type { Epoch } from "../../src/membership/ids.ts";
import { type NetworkContext, ValidatorSet } from "../../src/membership/validator-set.ts";
import { membershipOf } from "../cluster/signing.ts";
import { ConsensusNode } from "../../src/node/consensus-node.ts";
import type { LoopObserver } from "../../src/node/observer.ts";
import type { Lane, PeerInfo, SendOutcome, Transport, TransportHandler } from "../../src/node/ports.ts";
import type { Replication } from "../../src/node/replicated/replication.ts";
import type { NodeParts } from "../../src/node/node-parts.ts";
import { isRecoverable } from "../../src/node/transfer/recovery.ts";
import { systemClock } from "../../src/node/system-clock.ts";
import { MemoryDatabase, MemoryDisk } from "../../src/storage/memory-database.ts";

/** Connects transports inside one process; frames cross as copied bytes, in order. */
export class Switchboard {
  readonly transports: Map<NodeId, LocalTransport> = new Map();
  /** Pairs that cannot reach each other, as `a/b` both ways. */
  readonly cut: Set<string> = new Set();

  reaches(from: NodeId, to: NodeId): boolean {
    return this.transports.has(to) && !this.cut.has(`${from}/${to}`);
  }
}

export class LocalTransport implements Transport {
  readonly #nodeId: NodeId;
  readonly #board: Switchboard;
  handler: TransportHandler | null = null;

  constructor(nodeId: NodeId, board: Switchboard) {
    this.#nodeId = nodeId;
    this.#board = board;
  }

  start(handler: TransportHandler): Promise<void> {
    this.handler = handler;
    this.#board.transports.set(this.#nodeId, this);
    for (const [peer, transport] of this.#board.transports) {
      if (peer === this.#nodeId) continue;
      queueMicrotask(() => {
        transport.handler?.onPeerConnected(infoOf(this.#nodeId));
        this.handler?.onPeerConnected(infoOf(peer));
      });
    }
    return Promise.resolve();
  }

  send(peer: NodeId, lane: Lane, frame: Uint8Array): SendOutcome {
    if (!this.#board.reaches(this.#nodeId, peer)) return "not-connected";
    const copy = frame.slice();
    setImmediate(() => {
      void this.#board.transports.get(peer)?.handler?.onFrame(this.#nodeId, lane, copy);
    });
    return "queued";
  }

  async request(peer: NodeId, body: Uint8Array): Promise<Uint8Array> {
    const handler = this.#board.reaches(this.#nodeId, peer) ? this.#board.transports.get(peer)?.handler : undefined;
    if (handler === undefined || handler === null) throw new Error("not connected");
    return await handler.onRequest(this.#nodeId, body.slice());
  }

  peers(): readonly PeerInfo[] {
    return [...this.#board.transports.keys()]
      .filter((peer) => peer !== this.#nodeId && this.#board.reaches(this.#nodeId, peer))
      .sort((left, right) => (left < right ? -1 : 1))
      .map(infoOf);
  }

  /** Frames cross in this process: there is no connection to end. */
  disconnect(): void {}

  close(): Promise<void> {
    this.#board.transports.delete(this.#nodeId);
    this.handler = null;
    return Promise.resolve();
  }
}

function infoOf(nodeId: NodeId): PeerInfo {
  return {
    nodeId,
    role: "validator",
    address: "local",
    direction: "outbound",
    connectedSinceMs: 0,
    roundTripMs: null,
    bytesSent: 0,
    bytesReceived: 0,
    queuedBytes: 0,
  };
}

/** Until the node has heard from enough others to speak; everything for it is under way in this process. */
export async function whenOpen(node: ConsensusNode): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (node.readiness().reasons.some((reason) => reason.startsWith("waits to hear"))) {
    if (performance.now() > deadlineMs) throw new Error(node.readiness().reasons.join());
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export interface LocalNode {
  readonly node: ConsensusNode;
  readonly keys: NodeKeyPair;
  readonly disk: MemoryDisk;
  readonly database: MemoryDatabase;
  fatal: unknown;
}

/** `count` nodes with real keys, memory disks and the loop of production. */
export class LocalCluster {
  readonly board: Switchboard = new Switchboard();
  readonly network: NetworkContext;
  readonly keys: readonly NodeKeyPair[];
  readonly nodes: LocalNode[] = [];
  readonly verbose: boolean;
  readonly engine: "pbft" | "avalanche";
  /** How what may be rejected in this test begins; all else is a fault. */
  readonly tolerated: string[] = [];

  constructor(count: number, options: { readonly verbose?: boolean; readonly engine?: "pbft" | "avalanche" } = {}) {
    this.verbose = options.verbose ?? false;
    this.engine = options.engine ?? "pbft";
    const keys = Array.from({ length: count }, () => generateKeyPair({ hybrid: true }));
    this.network = {
      genesis: hashOf("genesis", new Uint8Array([count])),
      set: new ValidatorSet(
        0 as Epoch,
        keys.map(({ nodeId, publicKeys }, index) => ({ nodeId, publicKeys, name: `node-${index}` })),
      ),
    };
    this.keys = this.network.set.roster.map((validator) => {
      const pair = keys.find(({ nodeId }) => nodeId === validator.nodeId);
      if (pair === undefined) throw new Error("a key for each validator");
      return pair;
    });
  }

  async startAll(): Promise<void> {
    for (let index = 0; index < this.keys.length; index++) await this.startNode(index, new MemoryDisk());
    for (const { node } of this.nodes) await whenOpen(node);
  }

  /** @param replication what the order drives */
  async startNode(
    index: number,
    disk: MemoryDisk,
    replication: Replication | null = null,
    more: Partial<NodeParts> = {},
  ): Promise<LocalNode> {
    const keys = this.keys[index];
    if (keys === undefined) throw new Error(`no node ${index}`);
    const ring = new KeyRing(createVerifier({ hybrid: true }));
    for (const { nodeId, publicKeys } of this.network.set.roster) ring.add(nodeId, publicKeys);
    const database = new MemoryDatabase({ disk });
    const observer: LoopObserver = {
      log: (level, event, fields) => {
        if (this.verbose) console.log(index, level, event, fields ?? "");
      },
      onTrace: (trace) => {
        if (this.verbose) console.log(index, trace.phase, trace.view, trace.sequence, trace.detail);
      },
      onTurn: () => undefined,
      onProposed: () => undefined,
      onFinalized: () => undefined,
      onFinality: () => undefined,
      onIgnored: () => undefined,
      onRejected: (peer, reason) => {
        if (!this.tolerated.some((start) => reason.startsWith(start))) throw new Error(`rejected ${peer}: ${reason}`);
      },
      onEquivocation: () => undefined,
    };
    const local: { fatal: unknown } = { fatal: null };
    const node = await ConsensusNode.open({
      network: this.network,
      membership: membershipOf(this.network),
      nodeId: keys.nodeId,
      database,
      transport: new LocalTransport(keys.nodeId, this.board),
      signer: keys,
      verifier: ring,
      clock: systemClock,
      observer,
      timeouts: { floorMs: 1_000, initialMs: 2_000, capMs: 10_000 },
      limits: { payloadBytesMax: 1024, pendingVerticesMax: 10_000, submissionVerticesMax: 10_000 },
      alpn: "test",
      engine: this.engine,
      replication,
      entropy: { bytes: (size) => crypto.getRandomValues(new Uint8Array(size)) },
      onFatal: (error) => {
        local.fatal = error;
        if (!isRecoverable(error)) console.error("fatal", index, error);
      },
      ...more,
    });
    await node.start();
    const started = Object.assign(local, { node, keys, disk, database });
    this.nodes[index] = started;
    return started;
  }

  async stop(): Promise<void> {
    for (const { node } of this.nodes) await node.stop();
  }
}
