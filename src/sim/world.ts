import { decode } from "../codec/codec.ts";
import type { Trace } from "../consensus/engine.ts";
import { hashOf } from "../crypto/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import { genesisMembership, type MembershipState, type ValidatorSetChanged } from "../membership/membership-state.ts";
import { type NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import type { ConsensusNode } from "../node/consensus-node.ts";
import { isSettled } from "../node/dag-rows.ts";
import type { LogLevel } from "../node/observer.ts";
import type { Replication } from "../node/replicated/replication.ts";
import type { Lane } from "../node/ports.ts";
import type { FinalizedItem } from "../node/service.ts";
import { type Frame, frameCodec } from "../node/wire.ts";
import type { ViolationType } from "../peering/peer-score.ts";
import { StorageError } from "../storage/storage-error.ts";
import { testedApplication } from "./applications/application-by-name.ts";
import { ReplicaChecker } from "./applications/replica-checker.ts";
import type { TestedApplication } from "./applications/tested-application.ts";
import { VirtualClient } from "./applications/virtual-client.ts";
import { mistakenReplication, watchedReplication } from "./applications/watched-replication.ts";
import { Checker } from "./checker.ts";
import { DagChecker } from "./dag-checker.ts";
import { DagKnowledge, type KnownBundle } from "./dag-knowledge.ts";
import { DagRules } from "./dag-rules.ts";
import { HotStuffRules } from "./hotstuff-rules.ts";
import { PbftRules } from "./pbft-rules.ts";
import { Violation } from "./violation.ts";
import type { DurableRow, VoteRules } from "./vote-rules.ts";
import { Fingerprint } from "./fingerprint.ts";
import type { Liar, Plan } from "./plan.ts";
import { Oracle } from "./oracle.ts";
import { PROTOCOLS } from "./protocol.ts";
import { Schedule } from "./schedule.ts";
import type { Recorder } from "./recorder.ts";
import { type VirtualKeys, virtualKeys } from "./virtual-keys.ts";
import { type Endpoint, VirtualNetwork } from "./virtual-network.ts";
import type { Recoverable } from "../node/transfer/recovery.ts";
import { Recoveries } from "./recoveries.ts";
import type { NodeWorld } from "./node-world.ts";
import { VirtualNode, type VirtualNodeOptions } from "./virtual-node.ts";

/** How a process of this world is made: correct, lying, or wrong by plan. */
export type NodeKind = Pick<
  VirtualNodeOptions,
  "makeEngine" | "makeHotStuff" | "makeLeaderless" | "makeReplication" | "makeService" | "wrapTransport" | "alterParts"
>;

export interface WorldOptions {
  readonly plan: Plan;
  readonly kindOf: (world: World, place: number, liar: Liar | null) => NodeKind;
  readonly recorder: Recorder | null;
}

/** What looks at the bundles of a leaderless network. */
export interface WatchedDag {
  readonly checker: DagChecker;
  readonly rules: DagRules;
}

function rulesOf({ engine, hotstuff, windows }: Plan): VoteRules {
  return engine === "hotstuff" ? new HotStuffRules(hotstuff) : new PbftRules(windows.receiveWindow);
}

/** Until an operator starts a node again that stopped itself for a full disk, in virtual milliseconds. */
const RESTART_MS = 50;

/** Why a validator is gone, by what operators did. */
const REMOVES = { admit: null, dismiss: "dismissed", leave: "left" } as const;

/**
 * A network of nodes in virtual time: one thread, one schedule, one seed. Whatever happens is an entry of the schedule;
 * after each one the promises that it set off are run to their end, so that the order of everything is the schedule's.
 */
export class World implements NodeWorld<VirtualNode> {
  readonly plan: Plan;
  readonly schedule: Schedule = new Schedule();
  readonly network: VirtualNetwork;
  readonly checker: Checker;
  /** Nodes that end to start again on another state. */
  readonly recoveries: Recoveries;
  /** Of a leaderless network; null where everything is ordered. */
  readonly dag: WatchedDag | null;
  readonly application: TestedApplication | null;
  /** Of a replicated application; null where there is none. */
  readonly replicas: ReplicaChecker | null;
  readonly nodes: readonly VirtualNode[];
  readonly clients: readonly VirtualClient[];
  readonly allKeys: ReadonlyMap<NodeId, VirtualKeys>;
  readonly fingerprint: Fingerprint = new Fingerprint();
  readonly recorder: Recorder | null;
  readonly oracle: Oracle;
  /** Vertices that correct nodes said to be durable: each must be final everywhere in the end. */
  readonly accepted: Map<Hash, number> = new Map();
  /** Who is no validator any more: what waited in its lane dies with its place. */
  readonly gone: Set<number> = new Set();
  /** Liars that a correct node rejected, ignored too often or holds evidence against. */
  readonly detected: Set<number> = new Set();
  /** Steps of engines. */
  steps = 0;
  /** Answers false for what is to be lost. */
  passes: (from: Endpoint, to: Endpoint, lane: Lane, frame: Uint8Array) => boolean = () => true;
  violation: Violation | null = null;
  /** What every node begins with. */
  readonly membership: MembershipState;
  readonly #genesis: Hash;
  readonly #set: ValidatorSet;
  readonly #places: ReadonlyMap<NodeId, number>;
  readonly #lastFrames = new Map<number, Uint8Array>();

  constructor({ plan, kindOf, recorder }: WorldOptions) {
    this.plan = plan;
    this.recorder = recorder;
    if (recorder !== null && plan.engine === "hotstuff") recorder.protocol = PROTOCOLS.hotstuff;
    const keys = Array.from({ length: plan.nodes + plan.joiners }, (_, place) => virtualKeys(plan.crypto, place));
    this.allKeys = new Map(keys.map((pair) => [pair.nodeId, pair]));
    const first = keys.slice(0, plan.nodes);
    const roster = first.map(({ nodeId, publicKeys }, place) => ({ nodeId, publicKeys, name: `node-${place}` }));
    this.#set = new ValidatorSet(0 as Epoch, roster);
    this.#genesis = hashOf("genesis", new Uint8Array([plan.nodes]));
    const policy = { min: Math.min(plan.nodes, 3), max: 100 };
    this.membership = genesisMembership(
      this.networkContext(),
      policy,
      roster.map(() => ""),
    );
    // Places follow the roster, so that a node's number is its validator's index.
    const validators = this.#set.roster.map(({ nodeId }) => present(this.allKeys.get(nodeId), "keys"));
    const ordered = [...validators, ...keys.slice(plan.nodes)];
    const liars = new Map(plan.liars.map((liar) => [liar.node, liar]));
    const isCorrect = (place: number): boolean => !liars.has(place) && place < ordered.length;
    this.oracle = new Oracle(this.networkContext(), isCorrect, PROTOCOLS[plan.engine]);
    this.checker = new Checker(isCorrect, rulesOf(plan), (place) => this.nodes[place]?.isWrong === true);
    this.recoveries = new Recoveries(plan, this.checker);
    this.dag = plan.engine === "avalanche" ? this.#watchDag() : null;
    const nodeIds = ordered.map(({ nodeId }) => nodeId);
    this.application = testedApplication(plan.application, nodeIds, plan.nodes);
    this.replicas = this.application === null ? null : new ReplicaChecker(this.application);
    this.#places = new Map(ordered.map(({ nodeId }, place) => [nodeId, place]));
    this.network = new VirtualNetwork(this.schedule, plan.seed, {
      onSend: (from, to, lane, frame) => this.#onSend(from, to, lane, frame),
      onDeliver: (from, to, lane, frame) => this.#onDeliver(from, to, lane, frame),
    });
    this.network.weather = plan.links;
    const twins = plan.liars.filter(({ twin }) => twin).map(({ node }) => node);
    this.nodes = [...ordered.keys(), ...twins].map((index, place) => {
      const node = new VirtualNode(this, {
        place,
        index: index as ValidatorIndex,
        keys: present(ordered[index], `keys of validator ${index}`),
        isCorrect: isCorrect(place),
        ...kindOf(this, place, liars.get(index) ?? null),
      });
      this.network.add({ nodeId: node.keys.nodeId, place });
      return node;
    });
    this.clients = this.#newClients();
  }

  #newClients(): readonly VirtualClient[] {
    const { application, replicas, plan, schedule, nodes } = this;
    if (application === null || replicas === null) return [];
    const scene = {
      schedule,
      seed: plan.seed,
      nodes,
      application,
      checker: replicas,
      guard: (check: () => void) => this.guard(check),
      note: (node: VirtualNode, text: string) => this.recorder?.note(schedule.nowMs, node.place, text),
    };
    return plan.clients.map((client, index) => new VirtualClient(scene, client, index));
  }

  onReplication(node: VirtualNode, replication: Replication): Replication {
    const { replicas } = this;
    if (replicas === null || !node.isCorrect) return replication;
    const watched = watchedReplication(replication, {
      onExecuted: (batch) => {
        this.fingerprint.text(batch.root);
        this.guard(() => replicas.onExecuted(node.place, batch, (question) => replication.query(question)));
      },
      onRestored: (sequence) => {
        this.recorder?.note(this.schedule.nowMs, node.place, `application of batch ${sequence}`);
        this.guard(() => replicas.onRestored(node.place, sequence, replication.root));
      },
    });
    return mistakenReplication(watched, () => node.isWrong);
  }

  #watchDag(): WatchedDag {
    const { genesis } = this.networkContext();
    const checker = new DagChecker(new DagKnowledge(), genesis);
    const rules = new DagRules({
      checker,
      network: this.networkContext(),
      liars: this.plan.liars.length,
      isSettled: (place: number, { held }: KnownBundle) => {
        const standing = this.node(place).standing(held.ref);
        return standing !== null && isSettled(standing);
      },
    });
    return { checker, rules };
  }

  /** A fresh view of the genesis set: each life begins with it and learns the rest from its disk. */
  networkContext(): NetworkContext {
    return { genesis: this.#genesis, set: this.#set };
  }

  node(place: number): VirtualNode {
    return present(this.nodes[place], `node ${place}`);
  }

  correct(): readonly VirtualNode[] {
    return this.nodes.filter(({ isCorrect }) => isCorrect);
  }

  fail(violation: Violation): void {
    this.violation ??= violation;
  }

  onLog(node: VirtualNode, level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): void {
    this.recorder?.log(this.schedule.nowMs, node.place, level, event, fields);
  }

  onTrace(node: VirtualNode, trace: Trace): void {
    this.fingerprint.number(this.schedule.nowMs);
    this.fingerprint.number(node.place);
    this.fingerprint.text(trace.phase);
    this.fingerprint.number(trace.view);
    this.fingerprint.number(trace.sequence);
    this.recorder?.phase(this.schedule.nowMs, node.place, trace);
  }

  /** What became final before the crash and was not told any more is looked at now. */
  async onOpened(node: VirtualNode, opened: ConsensusNode): Promise<void> {
    this.fingerprint.number(node.place);
    this.fingerprint.text("start");
    this.recorder?.note(this.schedule.nowMs, node.place, "start");
    if (!node.isCorrect) return;
    const { lastBatch, lastSequence } = opened.status();
    this.checker.onStart(node.place, lastBatch);
    if (this.dag !== null) {
      const { checker, rules } = this.dag;
      rules.onStart(node.place);
      this.guard(() => checker.onStart(node.place, (bundle) => node.standing(bundle.held.ref)?.place === "accepted"));
      const reread = await opened.finalized({ from: 1, limit: lastSequence });
      return this.guard(() => checker.onReread(node.place, reread));
    }
    this.guard(() => this.recoveries.onStart(node.place, { lastBatch, lastSequence }));
    const known = this.checker.position(node.place);
    if (lastSequence < known) {
      const forgot = `node ${node.place} came back at place ${lastSequence}, it had finalized ${known}`;
      return this.fail(new Violation("durable-before-visible", forgot));
    }
    const untold = await opened.finalized({ from: known + 1, limit: lastSequence - known });
    this.onFinal(node, untold);
  }

  onRecovery(node: VirtualNode, recovery: Recoverable): void {
    this.recorder?.note(this.schedule.nowMs, node.place, `starts again: ${recovery.message}`);
    if (node.isCorrect) this.guard(() => this.recoveries.onRecovery(node.place, recovery));
  }

  onCrash(node: VirtualNode): void {
    this.fingerprint.number(node.place);
    this.fingerprint.text("crash");
    this.recorder?.note(this.schedule.nowMs, node.place, "crash");
  }

  onFatal(node: VirtualNode, error: unknown): void {
    this.recorder?.note(this.schedule.nowMs, node.place, `fatal: ${String(error)}`);
    const { isFull } = node.disk;
    // It may learn of it by a later write, when there is room again; the database refuses all until it is opened anew.
    const wasFull = isFull || (error instanceof StorageError && error.code === "disk-full");
    node.crash();
    if (wasFull && !isFull) this.schedule.after(RESTART_MS, () => node.start());
    if (wasFull || !node.isCorrect) return;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.fail(
      error instanceof Violation ? error : new Violation("no-failure", `node ${node.place} stopped itself: ${text}`),
    );
  }

  onSubmitted(payload: Uint8Array): void {
    (this.dag?.checker ?? this.checker).onSubmitted(payload);
  }

  onAccepted(node: VirtualNode, hashes: readonly Hash[], payloads: readonly Uint8Array[]): void {
    if (!node.isCorrect) return;
    this.dag?.checker.onPromised(node.place, payloads);
    for (const hash of hashes) this.accepted.set(hash, node.place);
  }

  onFinal(node: VirtualNode, items: readonly FinalizedItem[]): void {
    this.fingerprint.number(items.length);
    if (node.isCorrect) this.guard(() => (this.dag?.checker ?? this.checker).onFinal(node.place, items));
  }

  onValidators(node: VirtualNode, { epoch, removed }: ValidatorSetChanged): void {
    this.fingerprint.text(`epoch ${epoch}`);
    this.recorder?.note(this.schedule.nowMs, node.place, `epoch ${epoch} begins`);
    if (!node.isCorrect) return;
    for (const { nodeId, why } of removed) {
      const place = present(this.#places.get(nodeId), "the place of a validator");
      this.gone.add(place);
      const isAsked = this.plan.changes.some((change) => change.node === place && REMOVES[change.kind] === why);
      if (isAsked) continue;
      this.detected.add(place);
      this.guard(() => this.checker.onRemoved(node.place, place, why));
    }
  }

  onRejected(node: VirtualNode, peer: NodeId, reason: string): void {
    const blamed = present(this.#places.get(peer), "the place of a peer");
    this.recorder?.note(this.schedule.nowMs, node.place, `rejects ${blamed}: ${reason}`);
    if (!node.isCorrect) return;
    this.detected.add(blamed);
    // It is true: it said a state that is not the quorum's.
    if (this.recoveries.isMistaken(blamed)) return;
    this.guard(() => this.checker.onBlamed(node.place, blamed, reason));
  }

  onViolation(node: VirtualNode, peer: NodeId, type: ViolationType): void {
    const blamed = present(this.#places.get(peer), "the place of a peer");
    this.recorder?.note(this.schedule.nowMs, node.place, `counts against ${blamed}: ${type}`);
    if (node.isCorrect) this.detected.add(blamed);
  }

  /** What loss, delay and crashes alone can bring about must never cost a correct node its connections. */
  onBanned(node: VirtualNode, peer: NodeId, reason: string): void {
    const blamed = present(this.#places.get(peer), "the place of a peer");
    this.recorder?.note(this.schedule.nowMs, node.place, `bans ${blamed}: ${reason}`);
    if (!node.isCorrect || this.recoveries.isMistaken(blamed)) return;
    this.guard(() => this.checker.onBlamed(node.place, blamed, `ban: ${reason}`));
  }

  onEquivocation(node: VirtualNode, { first }: Equivocation): void {
    if (!node.isCorrect) return;
    const { signer } = first.proof.seal;
    this.detected.add(signer);
    this.guard(() => this.checker.onBlamed(node.place, signer, "evidence of a lie"));
  }

  /** What only the lost disk held is lost with it. */
  onDiskLost(node: VirtualNode): void {
    this.checker.onDiskLost(node.place);
    this.dag?.checker.onDiskLost(node.place);
    this.dag?.rules.onDiskLost(node.place);
    for (const [vertex, creator] of this.accepted) if (creator === node.place) this.accepted.delete(vertex);
  }

  /** Runs a check; what it finds ends the run. */
  guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.fail(error);
    }
  }

  #onSend(from: Endpoint, to: Endpoint, lane: Lane, frame: Uint8Array): boolean {
    const sender = this.node(from.place);
    this.recorder?.sent(this.schedule.nowMs, from.place, to.place, lane, frame);
    if (sender.isCorrect && this.#lastFrames.get(from.place) !== frame && (lane === "consensus" || this.dag !== null)) {
      this.#lastFrames.set(from.place, frame);
      this.guard(() => this.#onSpoken(sender, lane, decode(frameCodec, frame)));
    }
    return this.passes(from, to, lane, frame);
  }

  #onSpoken(sender: VirtualNode, lane: Lane, frame: Frame): void {
    const { place } = sender;
    const row: DurableRow = (epoch, key) => sender.row(epoch, key);
    if (lane === "consensus") this.checker.onSent(place, frame, row);
    if (this.dag === null || frame.kind !== "sealed") return;
    if (lane === "consensus") this.dag.rules.onSent(place, frame, row);
    else this.dag.rules.onBundles(place, frame);
  }

  #onDeliver(from: Endpoint, to: Endpoint, lane: Lane, frame: Uint8Array): void {
    this.fingerprint.number(this.schedule.nowMs);
    this.fingerprint.number(from.place * 0x1_0000 + to.place);
    this.fingerprint.number(frame.length);
    const sender = this.node(from.place);
    if (!sender.isCorrect && this.node(to.place).isCorrect) this.oracle.onDelivered(sender.index, lane, frame);
    this.recorder?.delivered(this.schedule.nowMs, from.place, to.place, lane, frame);
  }
}
