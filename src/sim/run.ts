import { drainMicrotasks } from "bun:jsc";
import { decode } from "../codec/codec.ts";
import type { Engine } from "../consensus/engine.ts";
import { PbftEngine, type PbftOptions } from "../consensus/pbft/engine.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import { type Proof, proofOf, sealedBytes } from "../membership/seal.ts";
import { type Statement, statementDigest } from "../membership/statement.ts";
import type { NodeParts } from "../node/consensus-node.ts";
import { frameCodec } from "../node/wire.ts";
import { lying } from "./attacks.ts";
import { type Invariant, LIARS_MARK, Violation } from "./checker.ts";
import { bodiesOf } from "./frame-bodies.ts";
import { LyingTransport } from "./lying-transport.ts";
import type { ProposedChange } from "../node/service.ts";
import type { Change, Fault, Liar, Plan, Work } from "./plan.ts";
import type { Recorder } from "./recorder.ts";
import { Random } from "./random.ts";
import { CALM_LINKS } from "./virtual-network.ts";
import { CALM_DISK } from "./virtual-disk.ts";
import type { VirtualNode } from "./virtual-node.ts";
import { EPOCH_MS } from "./virtual-clock.ts";
import { watched } from "./watched-engine.ts";
import { type NodeKind, World } from "./world.ts";

export interface RunOptions {
  /** The engine of correct validators; default production's. Planted faults go here. */
  readonly makeEngine?: (options: PbftOptions, node: VirtualNode) => Engine<PbftMessage>;
  /** What correct validators get for ports, around those of the virtual world. Planted faults of the node go here. */
  readonly alterParts?: (parts: NodeParts, node: VirtualNode) => NodeParts;
  readonly recorder?: Recorder;
  /** Entries of the schedule after which a run goes round in circles. Default 3,000,000. */
  readonly eventsMax?: number;
}

export interface RunResult {
  readonly seed: number;
  readonly nodes: number;
  readonly verdict: "pass" | "violation";
  readonly invariant: Invariant | null;
  readonly detail: string;
  /** Entries of the schedule and steps of engines. */
  readonly events: number;
  readonly checks: number;
  readonly virtualMs: number;
  /** Vertices in the agreed order. */
  readonly ordered: number;
  readonly accepted: number;
  /** The highest view of a correct node at the end. */
  readonly view: number;
  readonly liars: number;
  /** Of those, who lied where it can be seen (`Oracle`), and of these, whom a correct node found out. */
  readonly visible: number;
  readonly detected: number;
  readonly fingerprint: string;
}

const EVENTS_MAX = 3_000_000;

/** Between two looks at the real event loop: the native hash's buffers are freed only there. */
const EVENTS_PER_BREATH = 20_000;

/** How often the end of a run is looked for, in virtual milliseconds. */
const LOOK_MS = 100;

/** One whole run. The same plan gives the same result, to the last event, on any machine. */
export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const world = new World({
    plan,
    kindOf: (inside, place, liar) => (liar === null ? correctKind(inside, place, options) : liarKind(inside, liar)),
    recorder: options.recorder ?? null,
  });
  scheduleWork(world);
  scheduleChanges(world);
  for (const fault of plan.faults) scheduleFault(world, fault);
  for (const node of world.nodes) node.start();
  world.schedule.at(plan.chaosMs, () => heal(world));
  const endMs = plan.chaosMs + plan.settleMs;
  const done = await turn(world, endMs, options.eventsMax ?? EVENTS_MAX);
  if (!done)
    world.fail(new Violation("liveness", `not done ${plan.settleMs} ms after the last fault: ${describe(world)}`));
  return resultOf(world);
}

/** Runs the schedule; answers whether everything was done in time. */
async function turn(world: World, endMs: number, eventsMax: number): Promise<boolean> {
  const { schedule, plan } = world;
  let lookAtMs = plan.chaosMs + LOOK_MS;
  for (;;) {
    const next = schedule.nextAtMs();
    if (next === null || next > endMs || world.violation !== null) return isDone(world);
    if (next > lookAtMs) {
      if (isDone(world)) return true;
      lookAtMs = next + LOOK_MS;
    }
    schedule.runNext();
    drainMicrotasks();
    if (schedule.ran > eventsMax) {
      world.fail(new Violation("liveness", `more than ${eventsMax} events: ${describe(world)}`));
      return true;
    }
    if (schedule.ran % EVENTS_PER_BREATH === 0) await breathe();
  }
}

/** Every vertex that a correct node called accepted is final at every correct node, and all have the same order. */
function isDone(world: World): boolean {
  const { checker } = world;
  const correct = world.correct();
  if (correct.some(({ node, place }) => node === null || checker.position(place) !== checker.ordered)) return false;
  return correct.every(({ place }) => {
    for (const [vertex, creator] of world.accepted) {
      if (!world.gone.has(creator) && !checker.hasFinal(place, vertex)) return false;
    }
    return true;
  });
}

function correctKind(world: World, place: number, options: RunOptions): NodeKind {
  const make = options.makeEngine ?? ((engine) => new PbftEngine(engine));
  return {
    makeEngine: (engineOptions, node) => {
      world.checker.onEngine(place);
      return watched(make(engineOptions, node), {
        onStep: (event, status) => {
          world.steps += 1;
          world.guard(() => world.checker.onStep(place, event, status));
        },
        onEffect: (effect) => {
          if (effect.kind === "evidence") world.detected.add(effect.equivocation.first.proof.seal.signer);
          world.guard(() => world.checker.onEffect(place, effect));
        },
      });
    },
    wrapTransport: (transport) => transport,
    ...(options.alterParts === undefined ? {} : { alterParts: options.alterParts }),
  };
}

/** How often one life of a liar may answer what it hears. */
const LIES_MAX = 4_000;

function liarKind(world: World, liar: Liar): NodeKind {
  const { seed } = world.plan;
  return {
    makeEngine: (options, node) => {
      const engine = new PbftEngine(options);
      const random = Random.of(seed, 0x11a2, node.place, world.schedule.ran);
      let lies = 0;
      return lying(engine, liar.attacks, {
        random,
        network: options.network,
        self: node.index,
        lanes: options.lanes,
        status: () => engine.status(),
        wallMs: () => Math.floor(EPOCH_MS + world.schedule.nowMs),
        prove: (statement) => proofBy(node, options.network, statement),
        mayLie: () => {
          lies += 1;
          return lies <= LIES_MAX;
        },
      });
    },
    wrapTransport: (transport, node) => {
      const random = Random.of(seed, 0x11a3, node.place, world.schedule.ran);
      const scene = { network: world.networkContext(), self: node.index, keys: node.keys, random };
      return new LyingTransport(transport, liar.attacks, scene);
    },
  };
}

function proofBy(node: VirtualNode, network: PbftOptions["network"], statement: Statement): Proof {
  const leaf = statementDigest(network, statement);
  const signature = node.keys.sign(sealedBytes(network, node.index, 1, merkleRoot([leaf])));
  return proofOf({ signer: node.index, leafCount: 1, signature }, [leaf], 0);
}

function scheduleWork(world: World): void {
  world.plan.work.forEach((work, index) => {
    world.schedule.at(work.atMs, () => {
      for (const node of world.nodes) {
        if (node.index === work.node) node.submit(payloadsOf(work, index, node));
      }
    });
  });
}

/** How often an operator says again what was not ordered. */
const AGAIN_MS = 1_000;

/** Until so long after the last fault; then what could be done is done. */
const LAST_WORD_MS = 10_000;

function scheduleChanges(world: World): void {
  const { schedule, plan } = world;
  for (const change of plan.changes) {
    const proposed = proposedBy(world, change);
    for (const by of change.by) {
      const say = (): void => {
        world.node(by).propose(proposed, () => {
          if (schedule.nowMs < plan.chaosMs + LAST_WORD_MS) schedule.after(AGAIN_MS, say);
        });
      };
      schedule.at(change.atMs, say);
    }
  }
}

function proposedBy(world: World, { kind, node }: Change): ProposedChange {
  const { nodeId, publicKeys } = world.node(node).keys;
  if (kind === "leave") return { kind, waitForSuccessor: false };
  if (kind === "dismiss") return { kind, nodeId, waitForSuccessor: false };
  return { kind, candidate: { nodeId, publicKeys, name: `node-${node}`, address: `virtual:${node + 1}` } };
}

/** Distinct payloads, so that each can be recognised; a liar's begin with its mark. */
function payloadsOf({ payloads, bytes }: Work, index: number, node: VirtualNode): readonly Uint8Array[] {
  return Array.from({ length: payloads }, (_, number) => {
    const payload = new Uint8Array(Math.max(8, bytes));
    const view = new DataView(payload.buffer);
    view.setUint8(0, node.isCorrect ? 1 : LIARS_MARK);
    view.setUint8(1, node.place);
    view.setUint16(2, index);
    view.setUint32(4, number);
    return payload;
  });
}

function scheduleFault(world: World, fault: Fault): void {
  const { schedule, network, plan } = world;
  const endMs = (durationMs: number): number => Math.min(fault.atMs + durationMs, plan.chaosMs);
  switch (fault.kind) {
    case "crash":
      schedule.at(fault.atMs, () => {
        const node = world.node(fault.node);
        if (fault.operations === 0) node.crash();
        else node.crashAfter(fault.operations);
        // Counted from the order to crash: who has not crashed by then is spared.
        schedule.after(fault.downMs, () => restart(node));
      });
      return;
    case "lost-disk":
      schedule.at(fault.atMs, () => {
        const node = world.node(fault.node);
        node.loseDisk();
        world.onDiskLost(node);
        schedule.after(fault.downMs, () => node.start());
      });
      return;
    case "partition":
      schedule.at(fault.atMs, () => {
        for (const [from, to] of fault.blocked) network.block(from, to, true);
      });
      schedule.at(endMs(fault.durationMs), () => {
        for (const [from, to] of fault.blocked) network.block(from, to, false);
      });
      return;
    case "loss":
      return scheduleLoss(world, fault);
    case "disk-full":
      schedule.at(fault.atMs, () => {
        world.node(fault.node).disk.isFull = true;
      });
      schedule.at(endMs(fault.durationMs), () => {
        const node = world.node(fault.node);
        node.disk.isFull = false;
        node.start();
      });
      return;
    case "slow-disk":
      schedule.at(fault.atMs, () => {
        const weather = { ...plan.disks, fsyncMinMs: fault.fsyncMs, fsyncMaxMs: fault.fsyncMs * 2 };
        world.node(fault.node).disk.weather = weather;
      });
      schedule.at(endMs(fault.durationMs), () => {
        world.node(fault.node).disk.weather = plan.disks;
      });
      return;
  }
}

function restart(node: VirtualNode): void {
  node.spare();
  node.start();
}

/** Engine messages of some kinds are lost on some ways: what chance alone would hardly ever choose. */
function scheduleLoss(world: World, fault: Extract<Fault, { readonly kind: "loss" }>): void {
  const before = world.passes;
  const until = fault.atMs + fault.durationMs;
  world.passes = (from, to, lane, frame) => {
    if (!before(from, to, lane, frame)) return false;
    const { nowMs } = world.schedule;
    if (nowMs < fault.atMs || nowMs > until || lane !== "consensus") return true;
    if (!fault.from.includes(from.place) || !fault.to.includes(to.place)) return true;
    return !kindsOf(frame).some((kind) => fault.messages.includes(kind));
  };
}

/** The first byte of an encoded engine message is its kind. */
function kindsOf(frame: Uint8Array): readonly number[] {
  try {
    const decoded = decode(frameCodec, frame);
    if (decoded.kind === "status") return [];
    return bodiesOf(decoded).map((body) => body[0] ?? -1);
  } catch {
    return [];
  }
}

/** All faults end: everybody up, connected, links and disks calm. Liars go on lying. */
function heal(world: World): void {
  world.network.weather = CALM_LINKS;
  world.network.unblockAll();
  world.passes = () => true;
  for (const node of world.nodes) {
    node.disk.isFull = false;
    node.disk.weather = CALM_DISK;
    restart(node);
  }
}

function resultOf(world: World): RunResult {
  const { plan, checker, violation, schedule } = world;
  const isVisible = ({ node }: Liar): boolean => world.oracle.acted.has(node);
  const isDetected = (liar: Liar): boolean => isVisible(liar) && world.detected.has(liar.node);
  return {
    seed: plan.seed,
    nodes: plan.nodes,
    verdict: violation === null ? "pass" : "violation",
    invariant: violation?.invariant ?? null,
    detail: violation?.message ?? "",
    events: schedule.ran + world.steps,
    checks: checker.checks,
    virtualMs: Math.round(schedule.nowMs),
    ordered: checker.ordered,
    accepted: world.accepted.size,
    view: Math.max(...world.correct().map(({ engine }) => engine?.status().view ?? 0)),
    liars: plan.liars.length,
    visible: plan.liars.filter(isVisible).length,
    detected: plan.liars.filter(isDetected).length,
    fingerprint: world.fingerprint.toString(),
  };
}

function describe(world: World): string {
  return world
    .correct()
    .map((node) => {
      const status = node.engine?.status();
      if (status === undefined) return `${node.place}:down`;
      const view = `${status.view}${status.active ? "" : "?"}`;
      const silence = node.node?.readiness().reasons.join("; ") ?? "";
      return `${node.place}:v${view},x${status.executed},h${status.stable},p${world.checker.position(node.place)} ${silence}`;
    })
    .join(" | ");
}

function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
