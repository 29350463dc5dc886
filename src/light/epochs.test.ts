import { describe, expect, test } from "bun:test";
import { membershipOf } from "../../test/cluster/signing.ts";
import { encode } from "../codec/codec.ts";
import { hashOf } from "../crypto/hash.ts";
import { generateKeyPair, type NodeKeyPair } from "../crypto/key-pair.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import { verifyPortably } from "../crypto/portable-signatures.ts";
import { present } from "../lib/assert.ts";
import type { Epoch, Sequence, ValidatorIndex } from "../membership/ids.ts";
import {
  applyMembership,
  membershipDigest,
  type MembershipState,
  membershipStateCodec,
} from "../membership/membership-state.ts";
import { type Proof, sealedBytes } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import { type NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import { type ExecutionState, executionStateCodec, genesisState } from "../replication/executor.ts";
import { encodeLink, followEpochs } from "./epochs.ts";
import { LightError, type LightErrorCode } from "./light-error.ts";
import { statementAbout } from "./state-certificate.ts";
import { decodeTrusted, encodeTrusted, type Trusted } from "./trusted.ts";

const keys = Array.from({ length: 5 }, () => generateKeyPair({ hybrid: true }));
const pairs = new Map(keys.map((pair) => [pair.nodeId, pair]));
const validatorOf = ({
  nodeId,
  publicKeys,
}: NodeKeyPair): { nodeId: typeof nodeId; publicKeys: typeof publicKeys; name: string } => ({
  nodeId,
  publicKeys,
  name: "",
});
const network: NetworkContext = {
  genesis: hashOf("genesis", new Uint8Array([1])),
  set: new ValidatorSet(0 as Epoch, keys.slice(0, 4).map(validatorOf)),
};
const first = membershipOf(network);
const trusted: Trusted = { genesis: network.genesis, membership: first };
const END = 7 as Sequence;

/** One validator leaves with the batch of this place. */
function after(membership: MembershipState, leaver: number, sequence: Sequence): MembershipState {
  const word = { creator: leaver as ValidatorIndex, command: { kind: "leave" } as const };
  return applyMembership(membership, [word], { sequence, timestampMs: 0 }).state;
}

function endingIn(membership: MembershipState, sequence: Sequence): ExecutionState {
  const { epoch } = membership;
  const begin = genesisState(network, first);
  return { ...begin, epoch, epochBase: sequence, sequence, membership: membershipDigest(membership) };
}

async function link(
  epoch: number,
  state: ExecutionState,
  membership: MembershipState,
  signers: readonly number[] = [0, 1, 2],
): Promise<Uint8Array> {
  const leaf = statementDigest({ ...network, set: { epoch: epoch as Epoch } }, statementAbout("executed", state));
  const proofs = await Promise.all(
    signers.map(async (index): Promise<Proof> => {
      const signer = index as ValidatorIndex;
      const { sign } = pairOf(signer);
      const signature = await sign(sealedBytes(network, signer, 1, merkleRoot([leaf])));
      return { seal: { signer, leafCount: 1, signature }, leafIndex: 0, path: [] };
    }),
  );
  const certificate = {
    epoch: epoch as Epoch,
    phase: "executed",
    state: encode(executionStateCodec, state),
    proofs,
  } as const;
  return encodeLink({ certificate, membership: encode(membershipStateCodec, membership, 4_096) });
}

function pairOf(signer: ValidatorIndex): Pick<NodeKeyPair, "sign"> {
  const pair = present(pairs.get(network.set.at(signer).nodeId), "a key");
  return { sign: (message) => pair.sign(message) };
}

function codeOf(from: Trusted, links: readonly Uint8Array[]): LightErrorCode | number {
  try {
    return followEpochs(from, links, verifyPortably).membership.epoch;
  } catch (error) {
    if (error instanceof LightError) return error.code;
    throw error;
  }
}

describe("epochs", () => {
  const second = after(first, 3, END);
  const ended = endingIn(second, END);

  test("are followed one after the other, and begin where the last session came to", async () => {
    const third = after(second, 2, 9 as Sequence);
    const links = [await link(0, ended, second), await link(1, endingIn(third, 9 as Sequence), third, [0, 1])];
    expect(codeOf(trusted, links)).toBe(2);
    const kept = decodeTrusted(encodeTrusted(followEpochs(trusted, links.slice(0, 1), verifyPortably)));
    expect(codeOf(kept, links.slice(1))).toBe(2);
    expect(codeOf(trusted, [])).toBe(0);
  });

  test("are followed in their order only", async () => {
    const third = after(second, 2, 9 as Sequence);
    const links = [await link(0, ended, second), await link(1, endingIn(third, 9 as Sequence), third, [0, 1])];
    expect(codeOf(trusted, links.slice(1))).toBe("wrong-epoch");
    const later = followEpochs(trusted, links, verifyPortably);
    expect(codeOf(later, links.slice(0, 1))).toBe("wrong-epoch");
  });

  test("lead to the validators that were certified, and to no others that fit each other as well", async () => {
    const intruder = present(keys[4], "a fifth key");
    const [entry, ...others] = second.entries;
    if (entry === undefined) throw new Error("an entry");
    const forged = { ...second, entries: [{ ...entry, ...validatorOf(intruder) }, ...others] };
    expect(codeOf(trusted, [await link(0, ended, forged)])).toBe("not-proved");
    expect(codeOf(trusted, [await link(0, ended, { ...second, policy: { min: 1, max: 9 } })])).toBe("not-proved");
  });

  test("are ended by a quorum of those who end, not by those who come after or were there before", async () => {
    expect(codeOf(trusted, [await link(0, ended, second, [0, 1])])).toBe("no-quorum");
    expect(codeOf(trusted, [await link(1, ended, second, [0, 1, 2])])).toBe("wrong-epoch");
    const third = after(second, 2, 9 as Sequence);
    const later = followEpochs(trusted, [await link(0, ended, second)], verifyPortably);
    expect(codeOf(later, [await link(1, endingIn(third, 9 as Sequence), third, [0, 3])])).toBe("no-quorum");
  });

  test("are not ended by a state in the middle of one, or in the middle of the next", async () => {
    const middle = { ...genesisState(network, first), sequence: 3 as Sequence };
    expect(codeOf(trusted, [await link(0, middle, first)])).toBe("not-proved");
    const next = { ...ended, sequence: (END + 1) as Sequence };
    expect(codeOf(trusted, [await link(0, next, second)])).toBe("not-proved");
  });

  test("are malformed where bytes are missing, and so is what is trusted", async () => {
    const whole = await link(0, ended, second);
    expect(codeOf(trusted, [whole.slice(0, -1)])).toBe("malformed");
    expect(() => decodeTrusted(encodeTrusted(trusted).slice(0, -1))).toThrow(LightError);
    const [entry, ...others] = first.entries;
    if (entry === undefined) throw new Error("an entry");
    const twice = { ...first, entries: [entry, entry, ...others.slice(1)] };
    expect(() => decodeTrusted(encodeTrusted({ ...trusted, membership: twice }))).toThrow("a validator twice");
    const stranger = { ...entry, publicKeys: present(keys[4], "a key").publicKeys };
    const swapped = { ...first, entries: [stranger, ...others] };
    expect(() => decodeTrusted(encodeTrusted({ ...trusted, membership: swapped }))).toThrow("keys of another");
  });
});
