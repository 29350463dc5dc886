import { decode } from "../codec/codec.ts";
import { sealEnvelope } from "../dag/conflict-keys.ts";
import { asciiBytes } from "../lib/ascii.ts";
import type { ProposedChange } from "../node/service.ts";
import { frameCodec } from "../node/wire.ts";
import { bodiesOf } from "./frame-bodies.ts";
import type { Change, Fault, Work } from "./plan.ts";
import { LIARS_MARK } from "./violation.ts";
import { CALM_DISK } from "./virtual-disk.ts";
import { CALM_LINKS } from "./virtual-network.ts";
import type { VirtualNode } from "./virtual-node.ts";
import type { World } from "./world.ts";

/** What a plan has happen to a world, put into its schedule: clients' work, operators' words, faults and their end. */

export function scheduleWork(world: World): void {
  world.plan.work.forEach((work, index) => {
    world.schedule.at(work.atMs, () => {
      for (const node of world.nodes) {
        if (node.index === work.node)
          node.submit(payloadsOf(work, index, node).map((payload) => sealed(world, payload)));
      }
    });
  });
  world.plan.spends.forEach(({ node: index, atMs, coins }, number) => {
    world.schedule.at(atMs, () => {
      for (const node of world.nodes) {
        if (node.index !== index) continue;
        const payload = payloadOf(node, SPENDS_INDEX, number, 8);
        node.submit([sealed(world, payload, coins)]);
      }
    });
  });
}

/** The number under which spends go among the pieces of work: above all of those. */
const SPENDS_INDEX = 0xffff;

/** As the network's engine wants it: in a leaderless one a vertex says what it conflicts with. */
function sealed({ dag }: World, payload: Uint8Array, coins: readonly number[] = []): Uint8Array {
  if (dag === null) return payload;
  return sealEnvelope({ payload, conflictKeys: coins.map((coin) => asciiBytes(`coin ${coin}`)) });
}

/** How often an operator says again what was not ordered. */
const AGAIN_MS = 1_000;

/** Until so long after the last fault; then what could be done is done. */
const LAST_WORD_MS = 10_000;

export function scheduleChanges(world: World): void {
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
  return Array.from({ length: payloads }, (_, number) => payloadOf(node, index, number, bytes));
}

function payloadOf(node: VirtualNode, index: number, number: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(Math.max(8, bytes));
  const view = new DataView(payload.buffer);
  view.setUint8(0, node.isCorrect ? 1 : LIARS_MARK);
  view.setUint8(1, node.place);
  view.setUint16(2, index);
  view.setUint32(4, number);
  return payload;
}

export function scheduleFault(world: World, fault: Fault): void {
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
    case "wrong-state":
      schedule.at(fault.atMs, () => {
        world.node(fault.node).isWrong = true;
      });
      schedule.at(endMs(fault.durationMs), () => {
        world.node(fault.node).isWrong = false;
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
export function heal(world: World): void {
  world.network.weather = CALM_LINKS;
  world.network.unblockAll();
  world.passes = () => true;
  for (const node of world.nodes) {
    node.disk.isFull = false;
    node.disk.weather = CALM_DISK;
    restart(node);
  }
}
