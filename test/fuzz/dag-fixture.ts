import { arrival, lane, made, NETWORK, vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { AvalancheCore } from "../../src/consensus/avalanche/core.ts";
import type { AvalancheMessage } from "../../src/consensus/avalanche/messages.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import { Participant, type ParticipantOptions } from "../../src/consensus/avalanche/participant.ts";
import type { DagEvent, DagRestored } from "../../src/consensus/dag-engine.ts";
import type { Effect } from "../../src/consensus/engine.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../src/crypto/signature.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import { present } from "../../src/lib/assert.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import type { Proof, Signed } from "../../src/membership/seal.ts";
import { Random as SimRandom } from "../../src/sim/random.ts";

/** Of four validators the first is under attack, and the last one lies: f is 1. */
export const LIAR: ValidatorIndex = 3 as ValidatorIndex;

/** Only their ends differ, so the attack begins with what a moment of an engine's life looks like. */
export interface Scene {
  /** Lanes of the correct ones, a double spend between the second and the third, and a fork of the liar. */
  readonly bundles: readonly HeldBundle[];
  /** A bundle that nobody has shown yet, behind the second's lane. */
  readonly late: HeldBundle;
}

function sceneOf(): Scene {
  const own = lane(0, 2, "own");
  const first = made({ creator: 1, payloads: [vertex("a", "coin"), vertex("b")] });
  const second = made({ creator: 2, second: own[0] ?? null, payloads: [vertex("c", "coin", "other"), vertex("d")] });
  const forks = ["left", "right"].map((name) => made({ creator: 3, payloads: [vertex(name, "other")] }));
  const late = made({ creator: 1, previous: first, second, payloads: [vertex("late", "own")] });
  return { bundles: [...own, first, second, ...forks], late };
}

export const SCENE: Scene = sceneOf();

export const EMPTY: DagRestored = {
  lanes: NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis })),
  open: [],
};

export interface Victim {
  readonly core: AvalancheCore;
  /** Its inside, whose sizes are looked at. */
  readonly inside: Participant;
  /** What it said until now. */
  readonly effects: Effect<AvalancheMessage>[];
}

/** An engine of its own, which holds nothing yet. */
export function bareVictim(
  changes: {
    readonly restored?: DagRestored;
    readonly rows?: readonly { readonly key: string; readonly value: Uint8Array }[];
    readonly self?: ValidatorIndex | null;
    readonly seed?: number;
  } = {},
): Victim {
  let inside: Participant | null = null;
  const core = new AvalancheCore({
    network: NETWORK,
    self: changes.self === undefined ? (0 as ValidatorIndex) : changes.self,
    params: deriveParams(NETWORK.set.size, { beta: 2 }),
    random: SimRandom.of(changes.seed ?? 1, 0xf0),
    restored: changes.restored ?? EMPTY,
    previous: null,
    remembersPrevious: false,
    rows: changes.rows ?? [],
    makeParticipant: (options: ParticipantOptions) => {
      inside = new Participant(options);
      return inside;
    },
  });
  return { core, inside: present<Participant>(inside, "a participant"), effects: [...core.start(0)] };
}

/** An engine in the middle of the scene: its first poll is under way. */
export function victim(): Victim {
  const it = bareVictim();
  const bundles = SCENE.bundles.map((held) => arrival(held));
  it.effects.push(...it.core.onEvent({ kind: "dag-bundles", nowMs: 10, wallMs: 10, bundles }));
  return it;
}

const SIGNATURE = { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null };

/** As if the signature had been checked: engines are handed nothing else. */
export function signedBy(signer: ValidatorIndex, message: AvalancheMessage): Signed<AvalancheMessage> {
  const proof: Proof = { seal: { signer, leafCount: 1, signature: SIGNATURE }, leafIndex: 0, path: [] };
  return { message, proof };
}

type ClaimsHeard = Extract<DagEvent, { readonly kind: "dag-claims" }>;

/** What a peer that may never have voted answers. */
const NEVER_VOTED: { readonly passed: readonly Epoch[] } = { passed: [] };

/** What one validator says of bundles over its own connection. */
export function claimsHeard(
  from: ValidatorIndex,
  said: Omit<ClaimsHeard, "kind" | "from" | "passed" | "wallMs">,
): ClaimsHeard {
  return { ...NEVER_VOTED, kind: "dag-claims", from, wallMs: 0, ...said };
}

export function messagesOf(effects: readonly Effect<AvalancheMessage>[]): readonly AvalancheMessage[] {
  return effects.flatMap((effect) => {
    return effect.kind === "broadcast" || effect.kind === "multicast" || effect.kind === "send" ? [effect.message] : [];
  });
}
