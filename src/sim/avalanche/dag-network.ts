import { hashOf } from "../../crypto/hash.ts";
import type { NodeId } from "../../crypto/identity.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../crypto/signature.ts";
import type { Epoch, ValidatorIndex } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import { type NetworkContext, type Validator, ValidatorSet } from "../../membership/validator-set.ts";

const NO_KEYS = { mlDsa: new Uint8Array(0), ed25519: null };

function validator(place: number): Validator {
  const id = Uint8Array.of(place & 0xff, place >> 8);
  return { nodeId: hashOf("node-id", id) as NodeId, publicKeys: NO_KEYS, name: `validator-${place}` };
}

/** A network of so many validators whose signatures nobody checks. */
export function simNetwork(nodes: number): NetworkContext {
  const roster = Array.from({ length: nodes }, (_, place) => validator(place));
  return { genesis: hashOf("genesis", Uint8Array.of(0xda, 0x6)), set: new ValidatorSet(0 as Epoch, roster) };
}

/** The next epoch's network: one validator leaves, a new one has the next index. Without `gone` the set stays as it is. */
export function nextNetwork({ genesis, set }: NetworkContext, gone: ValidatorIndex | null): NetworkContext {
  const epoch = (set.epoch + 1) as Epoch;
  const terms = set.roster.map((_, index) => set.termOf(index as ValidatorIndex));
  if (gone === null) return { genesis, set: new ValidatorSet(epoch, set.roster, set.indices(), terms) };
  const newcomer = set.roster.length as ValidatorIndex;
  const active = [...set.indices().filter((index) => index !== gone), newcomer];
  const roster = [...set.roster, validator(newcomer)];
  return { genesis, set: new ValidatorSet(epoch, roster, active, [...terms, epoch]) };
}

const SIGNATURE = { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null };

/** A proof that is taken as good: the right size, and nothing in it. */
export function simProof(signer: ValidatorIndex): Proof {
  return { seal: { signer, leafCount: 1, signature: SIGNATURE }, leafIndex: 0, path: [] };
}
