import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createApiServer } from "../api/server.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { NodeKeyPair } from "../crypto/key-pair.ts";
import { KeyRing } from "../crypto/key-ring.ts";
import { importPublicKeys } from "../crypto/public-keys.ts";
import { createVerifier, type SignatureVerifier } from "../crypto/verifier.ts";
import type { MembershipState, ValidatorSetChanged } from "../membership/membership-state.ts";
import type { NetworkContext, Validator, ValidatorSet } from "../membership/validator-set.ts";
import { VIOLATION_TYPES } from "../peering/peer-score.ts";
import { ALPN, createQuicTransport, type QuicTransport } from "../network/quic-transport.ts";
import { createMetricsServer } from "../observability/metrics-server.ts";
import { createNodeMetrics, type NodeMetrics } from "../observability/node-metrics.ts";
import { openRocksDatabase } from "../storage/open-rocks-database.ts";
import { Admission } from "./admission.ts";
import { createApplication } from "./applications.ts";
import type { NodeConfig } from "./config.ts";
import { ConsensusNode } from "./consensus-node.ts";
import type { NodeParts } from "./node-parts.ts";
import { avalancheParamsOf } from "./engine-choice.ts";
import { firstMembership, type Genesis, networkContextOf } from "./genesis.ts";
import type { Log } from "./observer.ts";
import type { Entropy } from "./ports.ts";
import { peerAddresses } from "./peer-addresses.ts";
import { PeerBook } from "./peer-book.ts";
import { PeerGuard } from "./peer-guard.ts";
import { observerOf } from "./peer-watch.ts";
import { restoreBans, writePeersFile } from "./peers-file.ts";
import type { NodeService, PeerControl, ProofService } from "./service.ts";
import { readInputs } from "./start-inputs.ts";
import { createReplication, type Served, startApplication } from "./start-application.ts";
import { systemClock } from "./system-clock.ts";
import { isRecoverable, recordedDivergence, recover, type Recoverable } from "./transfer/recovery.ts";

/** Samples that can be foreseen can be bribed, and nonces repeated. */
const SECURE: Entropy = { bytes: (count) => Uint8Array.from(randomBytes(count)) };

/** Payloads of one submission: what the batch route of the API takes. */
const SUBMISSION_VERTICES_MAX = 10_000;

/** The least patience with a leader, in units of the expected finality. */
const FINALITY_TIMEOUTS_OF_PATIENCE = 4;

export interface RunningNode {
  readonly service: NodeService;
  readonly apiUrl: string | null;
  readonly metricsUrl: string | null;
  readonly quicAddress: string;
  /** Ends everything in the reverse order of the start. */
  stop(): Promise<void>;
  /**
   * Rejects when the node must stop by itself: its disk failed, or its application. With a `Recoverable` it is to be started
   * again, with that as its `recovery`: it then goes on from another state.
   */
  readonly failed: Promise<never>;
}

export interface StartChoice {
  /** The file of the user's application, in a network whose genesis says `custom`. */
  readonly app?: string | null;
  /** Why the run before ended, where that is to be put right first. */
  readonly recovery?: Recoverable | null;
}

/**
 * The only place where adapters meet the loop. The order is document 3's: configuration, keys, storage, network, consensus,
 * API. What was started is ended again when a later step fails.
 */
export async function startNode(
  config: NodeConfig,
  log: Log,
  { app = null, recovery = null }: StartChoice = {},
): Promise<RunningNode> {
  for (const warning of config.warnings) log("warn", "config.ignored", { warning });
  const { genesis, keys } = await readInputs(config);
  const network = networkContextOf(genesis);
  const identity = { network, membership: firstMembership(genesis), nodeId: keys.nodeId };
  const replication = await createReplication(genesis, config, { app, log });
  if (replication === null) warnOfRetention(config, log);
  const stack = new AsyncDisposableStack();
  try {
    const metrics = createNodeMetrics(genesis.engine);
    const { accept_observers: acceptObservers } = config.network;
    const admission = new Admission(network.set, { acceptObservers, isBanned: (peer) => book.isBanned(peer) });
    const validators = (): ValidatorSet => admission.set;
    // A type that never occurred is a zero, not an absence: an alert on it must not wait for its first time.
    for (const type of VIOLATION_TYPES) metrics.onViolation(type, 0);
    const database = await openDatabase(config, network.genesis, log, metrics);
    stack.defer(() => database.close());
    const why = recovery ?? (await recordedDivergence(database));
    if (why !== null) await recover({ ...identity, engine: genesis.engine, database, log }, why);
    const verifier = createVerifier({ hybrid: genesis.hybrid });
    const onBanned = (peer: NodeId, reason: string): void => quic.disconnect(peer, reason);
    const book: PeerBook = await openPeerBook({ config, validators, metrics, log, onBanned });
    const quic = openTransport({ config, genesis, network, admission, keys, verifier, metrics, log });
    const guard = new PeerGuard({ self: keys.nodeId, transport: quic, book, clock: systemClock, validators, genesis });
    const ring = keyRing(network, verifier);
    const { failed, onFatal } = failure(log);
    const node = await ConsensusNode.open({
      ...identity,
      database,
      transport: guard,
      signer: keys,
      verifier: ring,
      inspect: (peer, lane, frame) => guard.inspect(peer, lane, frame),
      observations: () => guard.observations(systemClock.monotonicMs()),
      addresses: new Map(genesis.validators.map(({ nodeId, address }) => [nodeId, address])),
      onMembership: (membership, changed) => {
        admission.follow(membership);
        followMembership({ membership, changed, ring, quic, metrics });
      },
      clock: systemClock,
      observer: observerOf({ metrics: metrics.observer, log, guard, validators }),
      ...limitsOf(config),
      ...engineOf(config, genesis),
      replication,
      joinGap: config.storage.join_gap,
      learnKeys: (known) => learnKeys(ring, known),
      avoids: (peer) => book.stateOf(peer) !== "good",
      alpn: ALPN,
      onFatal,
    });
    await node.start();
    stack.defer(() => node.stop());
    collect(metrics, { node, book, database });
    const metricsUrl = startMetrics(config, metrics, stack);
    const served = await startApplication(genesis, { node, self: keys.nodeId, replication, log }, stack);
    const apiUrl = await startApi({ config, service: node, ...served, peerControl: book, log, metrics }, stack);
    const { address } = quic;
    const quicAddress = address === null ? "" : `${address.host}:${address.port}`;
    announce(network, node, { log, quicAddress, apiUrl });
    return { service: node, apiUrl, metricsUrl, quicAddress, stop: () => stack.disposeAsync(), failed };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

function warnOfRetention({ storage }: NodeConfig, log: Log): void {
  if (storage.retention_vertices === 0) return;
  const warning = "storage.retention_vertices: nothing is deleted where no application's snapshots stand for the log";
  log("warn", "config.ignored", { warning });
}

/** The end that the node comes to by itself: told to the log, and to whoever waits for it. */
function failure(log: Log): { readonly failed: Promise<never>; readonly onFatal: (error: unknown) => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  return {
    failed: promise,
    onFatal: (error) => {
      const cause = error instanceof Error ? String(error.cause ?? "") : "";
      if (isRecoverable(error)) log("warn", "node.starts-again", { why: error.message });
      else log("error", "node.failed", { error: String(error), cause });
      reject(error);
    },
  };
}

/** What is read when somebody asks for the metrics. */
function collect(
  metrics: NodeMetrics,
  {
    node,
    book,
    database,
  }: {
    readonly node: ConsensusNode;
    readonly book: PeerBook;
    readonly database: Awaited<ReturnType<typeof openRocksDatabase>>;
  },
): void {
  metrics.onCollect(async () => ({
    status: node.status(),
    participation: node.participation(),
    membership: node.membership(),
    peers: node.peers(),
    reports: book.reports(node.peers().map(({ nodeId }) => nodeId)),
    storage: database.gauges(),
    diskBytes: await database.diskBytes(),
  }));
}

/** Whoever became a validator is dialed and believed; whoever is none any more loses the connection. */
function followMembership(parts: {
  readonly membership: MembershipState;
  readonly changed: ValidatorSetChanged | null;
  readonly ring: KeyRing;
  readonly quic: QuicTransport;
  readonly metrics: NodeMetrics;
}): void {
  const { membership, changed, ring, quic, metrics } = parts;
  if (changed !== null) metrics.onValidatorSetChanged();
  for (const { nodeId, publicKeys, standing, address } of membership.entries) {
    ring.add(nodeId, publicKeys);
    // Genesis' own validators have their address in the file.
    if (standing === "active" && address !== "") quic.setAddress(nodeId, address);
  }
  // Its connection has an observer's allowance; the next one has a validator's.
  const observers = quic.peers().filter(({ role }) => role === "observer");
  for (const { nodeId } of observers) {
    if (changed?.added.includes(nodeId) === true) quic.disconnect(nodeId, "a validator from now on");
  }
  for (const { nodeId, why } of changed?.removed ?? []) quic.disconnect(nodeId, `no validator any more: ${why}`);
}

/** Opinions of peers begin anew with the process; bans are kept beside the database. */
async function openPeerBook(parts: {
  readonly config: NodeConfig;
  readonly validators: () => ValidatorSet;
  readonly metrics: NodeMetrics;
  readonly log: Log;
  readonly onBanned: (peer: NodeId, reason: string) => void;
}): Promise<PeerBook> {
  const { config, validators, metrics, log, onBanned } = parts;
  const file = join(config.node.data_dir, "peers.json");
  return new PeerBook({
    validators,
    clock: systemClock,
    log,
    bans: await restoreBans(file, log),
    save: (bans) => writePeersFile(file, bans),
    onViolation: (_peer, type) => metrics.onViolation(type),
    onBanned,
  });
}

function openTransport(parts: {
  readonly config: NodeConfig;
  readonly genesis: Genesis;
  readonly network: NetworkContext;
  readonly admission: Admission;
  readonly keys: NodeKeyPair;
  readonly verifier: SignatureVerifier;
  readonly metrics: NodeMetrics;
  readonly log: Log;
}): QuicTransport {
  const { config, genesis, network, admission, keys, verifier, metrics, log } = parts;
  return createQuicTransport({
    nodeId: keys.nodeId,
    publicKeys: keys.publicKeys,
    sign: (message) => keys.sign(message),
    verify: (publicKeys, message, signature) => verifier.verify(importPublicKeys(publicKeys), message, signature),
    hybrid: genesis.hybrid,
    genesis: network.genesis,
    listen: { host: listenHost(config), port: config.network.quic_port },
    peers: peerAddresses(genesis, config.network.bootstrap_peers, (warning) => log("warn", "config.peer", { warning })),
    admit: (peer) => admission.roleOf(peer),
    maxPeers: config.network.max_peers,
    clock: systemClock,
    entropy: SECURE,
    metrics: metrics.network,
    log,
  });
}

function learnKeys(ring: KeyRing, validators: readonly Validator[]): void {
  for (const { nodeId, publicKeys } of validators) ring.add(nodeId, publicKeys);
}

function keyRing(network: NetworkContext, verifier: SignatureVerifier): KeyRing {
  const ring = new KeyRing(verifier);
  learnKeys(ring, network.set.roster);
  return ring;
}

function limitsOf({ consensus }: NodeConfig): Pick<NodeParts, "timeouts" | "limits"> {
  const floorMs = consensus.finality_timeout_ms * FINALITY_TIMEOUTS_OF_PATIENCE;
  return {
    timeouts: {
      floorMs,
      initialMs: Math.max(consensus.view_change_timeout_ms, floorMs),
      capMs: Math.max(consensus.view_change_timeout_max_ms, consensus.view_change_timeout_ms),
    },
    limits: {
      payloadBytesMax: consensus.max_payload_bytes,
      pendingVerticesMax: consensus.max_pending_vertices,
      submissionVerticesMax: SUBMISSION_VERTICES_MAX,
    },
  };
}

/** What the genesis says that this network runs. */
function engineOf(config: NodeConfig, genesis: Genesis): Partial<NodeParts> {
  const avalancheParams: NodeParts["avalancheParams"] = (nodes) => avalancheParamsOf(config, nodes);
  const { engine, hotstuff } = genesis;
  return {
    engine,
    ...(hotstuff === undefined ? {} : { hotstuff }),
    application: createApplication(genesis),
    entropy: SECURE,
    avalancheParams,
  };
}

function startMetrics(config: NodeConfig, metrics: NodeMetrics, stack: AsyncDisposableStack): string | null {
  const { enabled, host, port, endpoint: path } = config.metrics;
  if (!enabled) return null;
  const server = createMetricsServer({ host, port, path, text: () => metrics.text() });
  stack.defer(() => server.close());
  return server.url;
}

async function startApi(
  {
    config,
    service,
    intake,
    ledger,
    application,
    peerControl,
    log,
    metrics,
  }: Served & {
    readonly config: NodeConfig;
    readonly service: NodeService & { readonly proofs: ProofService };
    readonly peerControl: PeerControl;
    readonly log: Log;
    readonly metrics: NodeMetrics;
  },
  stack: AsyncDisposableStack,
): Promise<string | null> {
  const { http_enabled, http_host: host, http_port: port, cors_enabled: enabled, cors_origins: origins } = config.api;
  if (!http_enabled) return null;
  const server = await createApiServer({
    service,
    ...(intake === undefined ? {} : { intake }),
    ...(ledger === undefined ? {} : { ledger }),
    ...(application === undefined ? {} : { application }),
    proofs: service.proofs,
    peerControl,
    host,
    port,
    cors: { enabled, origins },
    log,
    metrics: metrics.api,
  });
  stack.defer(() => server.close());
  return server.url;
}

function announce(
  { set }: NetworkContext,
  service: NodeService,
  { log, quicAddress, apiUrl }: { readonly log: Log; readonly quicAddress: string; readonly apiUrl: string | null },
): void {
  const { nodeId, role } = service.status();
  const { size: validators, faultTolerance, quorum } = set;
  log("info", "node.started", { nodeId, role, validators, faultTolerance, quorum, quic: quicAddress, api: apiUrl });
  if (faultTolerance === 0) {
    const warning = `${validators} validators tolerate no lying one (n >= 3f + 1): use at least 4`;
    log("warn", "node.no-fault-tolerance", { warning });
  }
}

async function openDatabase(
  config: NodeConfig,
  identity: ReturnType<typeof networkContextOf>["genesis"],
  log: Log,
  metrics: NodeMetrics,
): ReturnType<typeof openRocksDatabase> {
  const { storage } = config;
  await mkdir(config.node.data_dir, { recursive: true, mode: 0o700 });
  return await openRocksDatabase({
    path: storage.path,
    identity,
    create: "if-missing",
    cacheSizeMb: storage.cache_size_mb,
    writeBufferMb: storage.write_buffer_mb,
    compression: storage.compression,
    bloomFilters: storage.enable_bloom_filters,
    log,
    metrics: metrics.storage,
  });
}

function listenHost(config: NodeConfig): string {
  return config.network.listen_addr.replace(/:\d+$/, "").replaceAll(/[[\]]/g, "");
}
