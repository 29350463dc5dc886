import { networkOf, prove } from "../../test/cluster/signing.ts";
import { type NodeId, nodeIdOf, type PublicKeys } from "../crypto/identity.ts";
import { ML_DSA_87_PUBLIC_KEY_BYTES } from "../crypto/signature.ts";
import { present } from "../lib/assert.ts";
import { toHash } from "../lib/hash.ts";
import type { Candidate } from "./candidate.ts";
import { type Evidence, evidenceOf } from "./evidence.ts";
import type { Epoch, Sequence, ValidatorIndex } from "./ids.ts";
import type { MembershipCommand } from "./membership-command.ts";
import {
  applyMembership,
  genesisMembership,
  type MembershipOutcome,
  type MembershipState,
} from "./membership-state.ts";
import type { Observation } from "./reputation.ts";
import { type Phase, type Statement, statementDigest } from "./statement.ts";
import { type NetworkContext, ValidatorSet } from "./validator-set.ts";

/** A node that is not in `networkOf`'s networks. */
export function candidateOf(seed: number): Candidate {
  const publicKeys: PublicKeys = { mlDsa: new Uint8Array(ML_DSA_87_PUBLIC_KEY_BYTES).fill(seed + 1), ed25519: null };
  return { nodeId: nodeIdOf(publicKeys), publicKeys, name: `node-${seed}`, address: `node-${seed}.example:4433` };
}

export function stateOf(size: number, policy: { readonly min?: number; readonly max?: number } = {}): MembershipState {
  const network = networkOf(size);
  const addresses = network.set.roster.map((_, index) => `validator-${index}.example:4433`);
  return genesisMembership(network, { min: policy.min ?? 1, max: policy.max ?? size }, addresses);
}

/** Two statements of one validator for one place, proved with `networkOf`'s keys. */
export function lieOf(
  network: NetworkContext,
  signer: number,
  options: { readonly epoch?: number; readonly phase?: Phase; readonly view?: number } = {},
): Evidence {
  const { epoch = 0, phase = "commit", view = 1 } = options;
  const context: NetworkContext = {
    genesis: network.genesis,
    set: new ValidatorSet(epoch as Epoch, network.set.roster, network.set.indices()),
  };
  const [first, second] = [1, 2].map((fill) => {
    const statement: Statement = { phase, view, sequence: 3, digest: toHash(new Uint8Array(32).fill(fill)) };
    const [proof] = prove(context, signer as ValidatorIndex, [statementDigest(context, statement)]);
    return { statement, proof: present(proof, "a proof") };
  });
  return evidenceOf(epoch as Epoch, { first: present(first, "one"), second: present(second, "another") });
}

export function idOf(state: MembershipState, index: number): NodeId {
  return present(state.entries[index], "a validator").nodeId;
}

/** The candidate that a validator of the roster was, or would be again. */
export function formerly(state: MembershipState, index: number): Candidate {
  const { nodeId, publicKeys, name, address } = present(state.entries[index], "a validator");
  return { nodeId, publicKeys, name, address };
}

export function seen(validator: number, changes: Partial<Observation> = {}): Observation {
  const perfect = { validPpm: 1_000_000, uptimePpm: 1_000_000, inactiveMs: 0 };
  return { validator: validator as ValidatorIndex, ...perfect, ...changes };
}

/** One batch of commands, each with its creator's index. */
export function batch(
  state: MembershipState,
  commands: readonly (readonly [creator: number, command: MembershipCommand])[],
  sequence = 1,
): MembershipOutcome {
  return applyMembership(
    state,
    commands.map(([creator, command]) => ({ creator: creator as ValidatorIndex, command })),
    { sequence: sequence as Sequence, timestampMs: 1000 * sequence },
  );
}

/** The same command from each of these. */
export function from(
  creators: readonly number[],
  command: MembershipCommand,
): readonly (readonly [number, MembershipCommand])[] {
  return creators.map((creator) => [creator, command] as const);
}
