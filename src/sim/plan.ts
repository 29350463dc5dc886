import type { HotStuffChoice } from "../node/genesis-hotstuff.ts";
import type { ClockFault } from "./virtual-clock.ts";
import type { DiskWeather } from "./virtual-disk.ts";
import type { CryptoMode } from "./virtual-keys.ts";
import type { LinkWeather } from "./virtual-network.ts";

/** The engines that the simulator can run. */
export const SIM_ENGINES = ["pbft", "hotstuff", "avalanche"] as const;
export type SimEngine = (typeof SIM_ENGINES)[number];

/** What the order drives: nothing (`log`), or a replicated application at every node. */
export const SIM_APPLICATIONS = ["log", "key-value", "ledger"] as const;
export type SimApplication = (typeof SIM_APPLICATIONS)[number];

/** What a Byzantine validator may do to the ordered log and on its connections; see `attacks.ts`. */
export const ATTACKS = [
  "equivocate",
  "withhold",
  "vote-for-everything",
  "forget-certificates",
  "two-new-views",
  "forge-new-view",
  "forge-certificate",
  "wrong-state",
  "view-change-spam",
  "lie",
  "replay",
  "censor",
  "crawl",
  "propose-anywhere",
  "garbage",
  "fork-lane",
  "repeat",
  "wrong-content",
  "false-evidence",
] as const;

/** What it may do besides in a leaderless network; see `dag-attacks.ts`. */
export const DAG_ATTACKS = [
  "accept-everything",
  "split-votes",
  "split-answers",
  "false-claims",
  "hide-bundles",
  "fork-alike",
] as const;

export type AttackName = (typeof ATTACKS)[number] | (typeof DAG_ATTACKS)[number];

/** A validator that lies: a correct engine whose effects are edited, or twins, two correct processes with one key. */
export interface Liar {
  readonly node: number;
  readonly attacks: readonly AttackName[];
  /** The Twins method (Bano et al. 2020): what contradicts itself is every single message correct. */
  readonly twin: boolean;
}

/** Times are virtual milliseconds from the begin of the run. */
export type Fault =
  /** Goes down after so many operations of its ports (0: at once), and comes back. */
  | {
      readonly kind: "crash";
      readonly node: number;
      readonly atMs: number;
      readonly operations: number;
      readonly downMs: number;
    }
  /** Each direction `from -> to` passes nothing. */
  | {
      readonly kind: "partition";
      readonly atMs: number;
      readonly durationMs: number;
      readonly blocked: readonly (readonly [from: number, to: number])[];
    }
  /** Frames of some engine messages are lost on some ways; the connection breaks with them. */
  | {
      readonly kind: "loss";
      readonly atMs: number;
      readonly durationMs: number;
      readonly messages: readonly number[];
      readonly from: readonly number[];
      readonly to: readonly number[];
    }
  /** Every write fails; the node stops itself, and is started again when there is room. */
  | { readonly kind: "disk-full"; readonly node: number; readonly atMs: number; readonly durationMs: number }
  | {
      readonly kind: "slow-disk";
      readonly node: number;
      readonly atMs: number;
      readonly durationMs: number;
      readonly fsyncMs: number;
    }
  /** The node crashes and finds an empty disk. */
  | { readonly kind: "lost-disk"; readonly node: number; readonly atMs: number; readonly downMs: number }
  /** What the application of this node comes to is wrong for so long, as by a fault of its memory, or until it starts again. */
  | { readonly kind: "wrong-state"; readonly node: number; readonly atMs: number; readonly durationMs: number };

/** Payloads of clients that one node is given. */
export interface Work {
  readonly node: number;
  readonly atMs: number;
  readonly payloads: number;
  readonly bytes: number;
}

/** A client of the replicated application: its commands, each under its number until it is told what became of it. */
export interface Client {
  /** When it begins. */
  readonly atMs: number;
  readonly commands: number;
  /** Commands under way at a time; below the 64 that sessions remember. */
  readonly atATime: number;
  /** After so long it asks another validator for the same, in milliseconds. */
  readonly patienceMs: number;
}

/** How often nodes take a snapshot of their application, in vertices, how many they keep, and what becomes of the log. */
export interface Snapshots {
  readonly interval: number;
  readonly kept: number;
  /** So many batches behind, a node takes the state over from others; 0: only where nobody has the log any more. */
  readonly joinGap: number;
  /** So many of the newest vertices stay; 0 for all. */
  readonly retention: number;
}

/** One vertex of a leaderless network that claims these coins for itself: of all that claim one, one is final. */
export interface Spend {
  readonly node: number;
  readonly atMs: number;
  readonly coins: readonly number[];
}

/** What Snowball and the votes behind it wait for; see `AvalancheParams`. Times in milliseconds. */
export interface Sampling {
  readonly beta: number;
  readonly queryTimeoutMs: number;
  readonly patienceMs: number;
  readonly resolveAfterMs: number;
}

/** What operators do about the validator set: each of `by` says it, again and again until it is ordered. */
export interface Change {
  readonly kind: "admit" | "dismiss" | "leave";
  readonly atMs: number;
  readonly by: readonly number[];
  /** Whom it is about; for a leave the one who says it. */
  readonly node: number;
}

/** One run, whole: what is not in here comes from the seed. As JSON, a regression that can be kept. */
export interface Plan {
  readonly engine: SimEngine;
  readonly nodes: number;
  readonly seed: number;
  readonly crypto: CryptoMode;
  readonly links: LinkWeather;
  readonly disks: DiskWeather;
  readonly clocks: readonly ClockFault[];
  /** In milliseconds, see `TimeoutLimits`. */
  readonly timeouts: { readonly floorMs: number; readonly initialMs: number; readonly capMs: number };
  readonly windows: {
    readonly checkpointInterval: number;
    readonly sendWindow: number;
    readonly receiveWindow: number;
  };
  /** Of a network of HotStuff. */
  readonly hotstuff: HotStuffChoice;
  /** Of a leaderless network. */
  readonly sampling: Sampling;
  /** How often nodes look whether they have something to report of each other, in milliseconds. */
  readonly reportIntervalMs: number;
  /** Processes that are no validators at first; they follow, and may be admitted. Their numbers follow the validators'. */
  readonly joiners: number;
  readonly changes: readonly Change[];
  readonly liars: readonly Liar[];
  readonly work: readonly Work[];
  readonly application: SimApplication;
  /** Of a replicated application. */
  readonly snapshots: Snapshots;
  readonly clients: readonly Client[];
  /** Of a leaderless network. */
  readonly spends: readonly Spend[];
  readonly faults: readonly Fault[];
  /** Faults end here at the latest: everybody is up, every link passes and is calm. */
  readonly chaosMs: number;
  /** Within this time after that everything accepted must be final everywhere. */
  readonly settleMs: number;
}
