import { decode } from "../codec/codec.ts";
import type { AvalancheOptions } from "../consensus/avalanche/engine.ts";
import type { Engine } from "../consensus/engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { BundleRef } from "../dag/bundle.ts";
import { type DagStanding, dagStandingCodec } from "../node/dag-rows.ts";
import type { NodeMessage } from "../node/engines.ts";
import { bundleKey } from "../node/ledger-keys.ts";
import { validatorSetOf } from "../membership/membership-state.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import { HotStuffEngine, type HotStuffOptions } from "../consensus/hotstuff/engine.ts";
import type { HotStuffMessage } from "../consensus/hotstuff/messages.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";
import type { PbftOptions } from "../consensus/pbft/engine.ts";
import { asciiBytes } from "../lib/ascii.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import { engineKey } from "../node/ledger.ts";
import { ConsensusNode } from "../node/consensus-node.ts";
import type { NodeParts } from "../node/node-parts.ts";
import type { ApplicationService } from "../node/application-service.ts";
import type { Log, LoopObserver } from "../node/observer.ts";
import { isRecoverable, recordedDivergence, recover, type Recoverable } from "../node/transfer/recovery.ts";
import type { PeerBook } from "../node/peer-book.ts";
import { PeerGuard } from "../node/peer-guard.ts";
import { observerOf } from "../node/peer-watch.ts";
import type { Transport } from "../node/ports.ts";
import { type ReplicatedParts, ReplicatedService } from "../node/replicated/replicated-service.ts";
import { Replication, type ReplicationOptions } from "../node/replicated/replication.ts";
import type { ProposedChange, Submission } from "../node/service.ts";
import type { Ban } from "../peering/ban.ts";
import { MemoryDisk } from "../storage/memory-database.ts";
import { hotStuffParts, leaderlessParts } from "./engine-parts.ts";
import { replicationOptions } from "./applications/replication-options.ts";
import { Random } from "./random.ts";
import type { NodeWorld } from "./node-world.ts";
import { virtualBook, type VirtualBookPorts } from "./virtual-book.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { VirtualDatabase, VirtualDisk } from "./virtual-disk.ts";
import { signerOf, verifierOf, type VirtualKeys } from "./virtual-keys.ts";
import { VirtualTransport } from "./virtual-transport.ts";

export interface VirtualNodeOptions {
  /** Its number among the processes of the world. */
  readonly place: number;
  readonly index: ValidatorIndex;
  readonly keys: VirtualKeys;
  readonly isCorrect: boolean;
  readonly makeEngine: (options: PbftOptions, node: VirtualNode) => Engine<PbftMessage>;
  /** As `makeEngine`, in a network of HotStuff. Default: production's. */
  readonly makeHotStuff?: (options: HotStuffOptions, node: VirtualNode) => Engine<HotStuffMessage>;
  /** The engine that decides vertices in a leaderless network. Default: production's. */
  readonly makeLeaderless?: (options: AvalancheOptions<PbftMessage>, node: VirtualNode) => Engine<NodeMessage>;
  /** What a liar puts around its transport. */
  readonly wrapTransport: (transport: Transport, node: VirtualNode) => Transport;
  /** The replicated application of one life. Default: production's. */
  readonly makeReplication?: (options: ReplicationOptions, node: VirtualNode) => Replication;
  /** What serves it to clients. Default: production's. */
  readonly makeService?: (parts: ReplicatedParts, node: VirtualNode) => ApplicationService;
  /** What a planted fault puts around the other ports. */
  readonly alterParts?: (parts: NodeParts, node: VirtualNode) => NodeParts;
}

/** One life of a process: from its start to its crash. */
interface Life {
  alive: boolean;
  /** Operations of its ports until it crashes; null for none. */
  operations: number | null;
  readonly database: VirtualDatabase;
  node: ConsensusNode | null;
  engine: Engine<NodeMessage> | null;
  /** Null in a network whose order drives no application. */
  service: ApplicationService | null;
}

/** Signing and verifying take up to this time, in milliseconds: what is asynchronous in production is so here. */
const SIGN_MS_MAX = 1;
const VERIFY_MS_MAX = 1;

/** From the end of a node that stopped to start again on another state to its start. */
const START_AGAIN_MS = 20;

/** What a node's observer hears and this world does not need. */
const UNSEEN: Pick<LoopObserver, "onTurn" | "onProposed" | "onFinalized" | "onFinality" | "onIgnored"> = {
  onTurn: () => undefined,
  onProposed: () => undefined,
  onFinalized: () => undefined,
  onFinality: () => undefined,
  onIgnored: () => undefined,
};

/** A node of production over virtual ports, which can crash at every operation of a port and start again. */
export class VirtualNode {
  readonly place: number;
  readonly index: ValidatorIndex;
  readonly isCorrect: boolean;
  readonly disk: VirtualDisk = new VirtualDisk();
  readonly random: Random;
  /** Its application comes to wrong states, though it does not know. */
  isWrong = false;
  readonly #world: NodeWorld<VirtualNode>;
  readonly #options: VirtualNodeOptions;
  /** Kept in a file beside the database, and so through crashes. */
  #bans: ReadonlyMap<NodeId, Ban> = new Map();
  /** Why the last life ended, where the next one is to put that right first. */
  #recovery: Recoverable | null = null;
  #life: Life | null = null;

  constructor(world: NodeWorld<VirtualNode>, options: VirtualNodeOptions) {
    this.#world = world;
    this.#options = options;
    this.place = options.place;
    this.index = options.index;
    this.isCorrect = options.isCorrect;
    this.random = Random.of(world.plan.seed, 0x4e, options.place);
    this.disk.weather = world.plan.disks;
  }

  get isUp(): boolean {
    return this.#life !== null;
  }

  get node(): ConsensusNode | null {
    return this.#life?.node ?? null;
  }

  get engine(): Engine<NodeMessage> | null {
    return this.#life?.engine ?? null;
  }

  /** The replicated application for clients of this node; null while it is down. */
  get service(): ApplicationService | null {
    return this.#life?.service ?? null;
  }

  get keys(): VirtualKeys {
    return this.#options.keys;
  }

  start(): void {
    if (this.#life !== null) return;
    const { schedule } = this.#world;
    const random = Random.of(this.#world.plan.seed, 0xd1, this.place, schedule.ran);
    const life: Life = {
      alive: true,
      operations: null,
      database: new VirtualDatabase(this.disk, schedule, random),
      node: null,
      engine: null,
      service: null,
    };
    this.#life = life;
    this.#open(life).catch((error: unknown) => {
      if (life.alive) this.#world.onFatal(this, error);
    });
  }

  crash(): void {
    const life = this.#life;
    if (life === null) return;
    life.alive = false;
    this.#life = null;
    life.database.crash();
    this.#world.network.detach(this.place);
    this.#world.onCrash(this);
  }

  /** Goes down at its next operation but so many. */
  crashAfter(operations: number): void {
    if (this.#life !== null) this.#life.operations = operations;
  }

  /** The fault is over: a crash that has not come yet does not come. */
  spare(): void {
    if (this.#life !== null) this.#life.operations = null;
  }

  loseDisk(): void {
    this.crash();
    this.#recovery = null;
    this.disk.rows = new MemoryDisk();
  }

  submit(payloads: readonly Uint8Array[]): void {
    const life = this.#life;
    if (life?.node != null) this.#submit(life, life.node, payloads);
  }

  /** Says a change of the validator set as this node's operator; `onFailure` where that could not be said or ordered now. */
  propose(change: ProposedChange, onFailure: () => void): void {
    const life = this.#life;
    if (life?.node == null) return onFailure();
    life.node.propose(change).then(
      () => undefined,
      () => onFailure(),
    );
  }

  /** A row of the engine as it lies on the disk now. */
  row(epoch: Epoch, key: string): Uint8Array | undefined {
    return this.disk.rows.find("consensus", asciiBytes(engineKey(epoch, key)));
  }

  /** How far a bundle is decided on the disk now; null where it does not say. */
  standing({ creator, firstNonce, digest }: BundleRef): DagStanding | null {
    const row = this.disk.rows.find("dag_status", bundleKey(creator, firstNonce, digest));
    return row === undefined ? null : decode(dagStandingCodec, row);
  }

  /** The process ends its node and starts it again on another state. */
  #startAgain(recovery: Recoverable): void {
    this.#world.onRecovery(this, recovery);
    this.crash();
    this.isWrong = false;
    this.#recovery = recovery;
    this.#world.schedule.after(START_AGAIN_MS, () => this.start());
  }

  /** Once: a crash in between is a crash of the process, which then starts on what is on its disk. */
  async #recover({ network, membership, nodeId, database }: NodeParts, recovery: Recoverable): Promise<void> {
    const { engine } = this.#world.plan;
    await recover({ network, membership, nodeId, engine, database, log: this.#log() }, recovery);
  }

  async #open(life: Life): Promise<void> {
    const parts = this.#parts(life);
    // A node that is never wrong reads nothing more at its start, and its plan's times stay as they are.
    const mayBeWrong = this.#world.plan.faults.some(({ kind }) => kind === "wrong-state");
    const recovery = this.#recovery ?? (mayBeWrong ? await recordedDivergence(parts.database) : null);
    this.#recovery = null;
    // Only then: a start without one reads the disk in the very entry of the schedule that starts it.
    if (recovery !== null) await this.#recover(parts, recovery);
    if (!life.alive) return;
    const node = await ConsensusNode.open(this.#options.alterParts?.(parts, this) ?? parts);
    if (!life.alive) return;
    life.node = node;
    life.service = this.#serve(life, node, parts);
    node.subscribe((event) => {
      if (!life.alive) return;
      if (event.kind === "finalized") this.#world.onFinal(this, event.items);
      if (event.kind === "validators") this.#world.onValidators(this, event.changed);
    });
    await this.#world.onOpened(this, node);
    if (life.alive) await node.start();
  }

  #submit(life: Life, node: ConsensusNode, payloads: readonly Uint8Array[]): Submission {
    for (const payload of payloads) this.#world.onSubmitted(payload);
    const submission = node.submit(payloads);
    submission.accepted.then(
      (hashes) => {
        if (life.alive) this.#world.onAccepted(this, hashes, payloads);
      },
      () => undefined,
    );
    return submission;
  }

  #serve(life: Life, node: ConsensusNode, { replication, clock }: NodeParts): ApplicationService | null {
    if (replication == null) return null;
    const submit = (payloads: readonly Uint8Array[]): Submission => this.#submit(life, node, payloads);
    const parts = { replication, node: { submit }, clock };
    return this.#options.makeService?.(parts, this) ?? new ReplicatedService(parts);
  }

  #replication(): Pick<NodeParts, "replication" | "joinGap"> {
    const { application, plan } = this.#world;
    if (application === null) return {};
    const { snapshots } = plan;
    const { checkpointInterval } = plan.windows;
    const options = replicationOptions({ application, snapshots, checkpointInterval, log: this.#log() });
    const made = this.#options.makeReplication?.(options, this) ?? new Replication(options);
    return { replication: this.#world.onReplication(this, made), joinGap: snapshots.joinGap };
  }

  #parts(life: Life): NodeParts {
    const world = this.#world;
    const { plan, schedule } = world;
    const operate = (): boolean => this.#operate(life);
    const clock = new VirtualClock(schedule, plan.clocks[this.place] ?? { skewMs: 0, driftPpm: 0 }, () => life.alive);
    const delay = (maxMs: number) => (): Promise<void> =>
      new Promise((resolve) => {
        schedule.after(this.random.fraction() * maxMs, () => {
          if (life.alive) resolve();
        });
      });
    const { database } = life;
    const transport = this.#options.wrapTransport(
      new VirtualTransport(world.network, this.place, { operate, isAlive: () => life.alive }),
      this,
    );
    let { set } = world.networkContext();
    const validators = (): ValidatorSet => set;
    const book = this.#newBook(life, { clock, transport, validators });
    const guard = new PeerGuard({ self: this.#options.keys.nodeId, transport, book, clock, validators, genesis: plan });
    return {
      network: world.networkContext(),
      membership: world.membership,
      nodeId: this.#options.keys.nodeId,
      database: {
        write: (batch) => (operate() ? database.write(batch) : new Promise(() => undefined)),
        get: (column, key) => database.get(column, key),
        getMany: (column, keys) => database.getMany(column, keys),
        scan: (column, range) => database.scan(column, range),
        close: () => database.close(),
      },
      transport: guard,
      signer: signerOf(this.#options.keys, delay(SIGN_MS_MAX)),
      verifier: verifierOf(world.allKeys, delay(VERIFY_MS_MAX)),
      clock,
      observer: observerOf({ metrics: this.#watching(life), log: this.#log(), guard, validators }),
      inspect: (peer, lane, frame) => guard.inspect(peer, lane, frame),
      observations: () => guard.observations(clock.monotonicMs()),
      reportIntervalMs: plan.reportIntervalMs,
      onMembership: (membership) => {
        set = validatorSetOf(membership);
      },
      timeouts: plan.timeouts,
      limits: { payloadBytesMax: 65_536, pendingVerticesMax: 10_000, submissionVerticesMax: 10_000 },
      alpn: "virtual",
      onFatal: (error) => {
        if (!life.alive) return;
        if (isRecoverable(error)) this.#startAgain(error);
        else world.onFatal(this, error);
      },
      makeEngine: (options) => {
        const engine = this.#options.makeEngine({ ...options, windows: plan.windows }, this);
        life.engine = engine;
        return engine;
      },
      ...this.#replication(),
      ...this.#engineParts(life),
    };
  }

  #engineParts(life: Life): Partial<NodeParts> {
    const { plan, schedule } = this.#world;
    const { makeHotStuff, makeLeaderless } = this.#options;
    if (plan.engine === "hotstuff") {
      return hotStuffParts(plan, (options) => {
        const engine = makeHotStuff?.(options, this) ?? new HotStuffEngine(options);
        life.engine = engine;
        return engine;
      });
    }
    if (plan.engine !== "avalanche") return {};
    const random = Random.of(plan.seed, 0xe7, this.place, schedule.ran);
    return leaderlessParts(plan, random, makeLeaderless && ((options) => makeLeaderless(options, this)));
  }

  #operate(life: Life): boolean {
    if (!life.alive || life.operations === null) return life.alive;
    life.operations -= 1;
    if (life.operations <= 0) this.crash();
    return life.alive;
  }

  #newBook(life: Life, ports: Pick<VirtualBookPorts, "clock" | "transport" | "validators">): PeerBook {
    return virtualBook({
      ...ports,
      log: this.#log(),
      bans: this.#bans,
      save: (bans) => {
        this.#bans = new Map(bans);
      },
      onViolation: (peer, type) => {
        if (life.alive) this.#world.onViolation(this, peer, type);
      },
      onBanned: (peer, reason) => {
        if (life.alive) this.#world.onBanned(this, peer, reason);
        return life.alive;
      },
    });
  }

  #log(): Log {
    return (level, event, fields) => this.#world.onLog(this, level, event, fields ?? {});
  }

  #watching(life: Life): Omit<LoopObserver, "log"> {
    const world = this.#world;
    return {
      ...UNSEEN,
      onTrace: (trace) => world.onTrace(this, trace),
      onRejected: (peer, reason) => {
        if (life.alive) world.onRejected(this, peer, reason);
      },
      onEquivocation: (equivocation) => {
        if (life.alive) world.onEquivocation(this, equivocation);
      },
    };
  }
}
