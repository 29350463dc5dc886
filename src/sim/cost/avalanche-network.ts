import type { HeldBundle } from "../../dag/bundle.ts";
import { sealEnvelope } from "../../dag/conflict-keys.ts";
import { hashOf } from "../../crypto/hash.ts";
import type { NodeId } from "../../crypto/identity.ts";
import { ML_DSA_87_PUBLIC_KEY_BYTES, ML_DSA_87_SIGNATURE_BYTES } from "../../crypto/signature.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import { type NetworkContext, ValidatorSet } from "../../membership/validator-set.ts";
import { Random } from "../random.ts";
import { Schedule } from "../schedule.ts";
import { StepMeter } from "./avalanche-meter.ts";
import { ScaleNode } from "./avalanche-node.ts";
import type { Parcel } from "./avalanche-turn.ts";
import type { Asker, ScaleOptions, ScaleWorld } from "./avalanche-world.ts";

/** Vertices that became final and durable at the node of their client. */
export interface FinalSample {
  readonly atMs: number;
  readonly submittedMs: number;
  readonly polls: number;
}

/** What an asked peer needs to find and send a bundle, beside the way. */
const FETCH_MS = 2;

/**
 * Real engines of one network in virtual time, each with a machine of its own whose resources cost what the cost table says.
 * Signatures are time only; sizes are those of the real encodings; nothing is lost.
 */
export class ScaleNetwork implements ScaleWorld {
  schedule: Schedule = new Schedule();
  readonly options: ScaleOptions;
  readonly context: NetworkContext;
  nodes: readonly ScaleNode[];
  readonly meter: StepMeter = new StepMeter();
  readonly payload: Uint8Array;
  readonly finals: FinalSample[] = [];
  fetched = 0;
  readonly #random: Random;
  readonly #byName = new Map<Hash, HeldBundle>();
  readonly #bytes = new Map<Hash, number>();
  readonly #proofs: readonly Proof[];

  constructor(options: ScaleOptions) {
    this.options = options;
    this.#random = Random.of(options.seed, 0xc057);
    this.context = contextOf(options.nodes);
    this.payload = sealEnvelope({ conflictKeys: [], payload: new Uint8Array(options.payloadBytes) });
    const signature = { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null };
    this.#proofs = this.context.set
      .indices()
      .map((signer) => ({ seal: { signer, leafCount: 1, signature }, leafIndex: 0, path: [] }));
    this.nodes = this.context.set.indices().map((index) => new ScaleNode(this, index));
    for (const node of this.speaking) {
      this.schedule.at(this.#random.fraction() * options.turnMs, () => {
        node.start();
        this.#submitNext(node);
      });
    }
  }

  /** All but those that are down. */
  get speaking(): readonly ScaleNode[] {
    return this.nodes.slice(0, this.options.nodes - this.options.silent);
  }

  run(untilMs: number): void {
    for (;;) {
      const next = this.schedule.nextAtMs();
      if (next === null || next > untilMs) return;
      this.schedule.runNext();
    }
  }

  /** Nothing happens any more; what the nodes held and the way between them is let go of. */
  close(): void {
    this.nodes = [];
    this.schedule = new Schedule();
    this.#byName.clear();
    this.#bytes.clear();
  }

  randomOf(index: ValidatorIndex): Random {
    return randomOf(this.options.seed, index);
  }

  register(held: HeldBundle, bytes: number): void {
    this.#byName.set(held.ref.digest, held);
    this.#byName.set(held.ref.tip, held);
    this.#bytes.set(held.ref.digest, bytes);
  }

  /** A bundle's length on the wire. */
  bytesOf({ digest }: { readonly digest: Hash }): number {
    return this.#bytes.get(digest) ?? 0;
  }

  carry(parcel: Parcel, to: ValidatorIndex, atMs: number): void {
    const node = present(this.nodes[to], `node ${to}`);
    if (to >= this.options.nodes - this.options.silent) return;
    this.schedule.at(atMs, () => node.receive(parcel, atMs));
  }

  /** Answers to who asks for bundles by digest or last vertex; every bundle is somewhere. */
  fetch(asker: Asker, names: readonly Hash[], nowMs: number): void {
    const found = names.flatMap((name) => this.#byName.get(name) ?? []);
    this.fetched += found.length;
    if (found.length === 0) return;
    const atMs = nowMs + (2 * this.options.costs.linkLatencyUs) / 1_000 + FETCH_MS;
    this.schedule.at(atMs, () => asker.receiveFetched(found, atMs));
  }

  /** Nothing was lost, so who asks would learn nothing: it gets no answer. */
  sync(asker: Asker, from: ValidatorIndex, nowMs: number): void {
    const atMs = nowMs + (2 * this.options.costs.linkLatencyUs) / 1_000 + FETCH_MS;
    this.schedule.at(atMs, () => asker.onEvent({ kind: "dag-sync-failed", nowMs: atMs, wallMs: atMs, from }));
  }

  /** The proof of one turn's statements, for who shares it. */
  proofOf(from: ValidatorIndex): Proof {
    return present(this.#proofs[from], `proof ${from}`);
  }

  onFinal(finals: readonly { readonly submittedMs: number; readonly polls: number }[], atMs: number): void {
    for (const { submittedMs, polls } of finals) this.finals.push({ atMs, submittedMs, polls });
  }

  /** A Poisson stream of requests at each node. */
  #submitNext(node: ScaleNode): void {
    const meanMs = (1_000 * this.speaking.length) / this.options.loadPerS;
    const atMs = this.schedule.nowMs - Math.log(1 - this.#random.fraction()) * meanMs;
    this.schedule.at(atMs, () => {
      node.submit(atMs);
      this.#submitNext(node);
    });
  }
}

/** The randomness of one validator's engine. */
export function randomOf(seed: number, index: ValidatorIndex): Random {
  return Random.of(seed, 0x5a3, index);
}

export function contextOf(nodes: number): NetworkContext {
  const publicKeys = { mlDsa: new Uint8Array(ML_DSA_87_PUBLIC_KEY_BYTES), ed25519: null };
  const validators = Array.from({ length: nodes }, (_, place) => {
    const name = new Uint8Array([place & 0xff, place >> 8]);
    return { nodeId: hashOf("node-id", name) as NodeId, publicKeys, name: `node-${place}` };
  });
  return { genesis: hashOf("genesis", new Uint8Array([0xa5])), set: new ValidatorSet(0 as Epoch, validators) };
}
