import type { HeldBundle } from "../../dag/bundle.ts";
import { ED25519_SIGNATURE_BYTES, ML_DSA_87_SIGNATURE_BYTES } from "../../crypto/signature.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Proof, Seal, Signed } from "../../membership/seal.ts";
import { encodeFrameUs, frameBytes, openFrameUs, partOfTree, sealUs } from "./avalanche-charges.ts";
import type { CostTable } from "./cost-table.ts";
import type { OrderedParcel } from "./ordered-world.ts";

/** One statement of a node's turn. */
export interface OrderedSaid<M> {
  readonly content: { readonly message: M } | { readonly held: HeldBundle };
  readonly bytes: number;
  readonly to: "all" | readonly ValidatorIndex[];
}

export interface OrderedTurn<M> {
  readonly sealUs: number;
  readonly encodeUs: number;
  readonly signed: readonly Signed<OrderedSaid<M>>[];
  readonly parcels: ReadonlyMap<ValidatorIndex, OrderedParcel<M>>;
}

/** All signatures weigh the same, and say nothing here. */
const SIGNATURE: Seal["signature"] = {
  mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES),
  ed25519: new Uint8Array(ED25519_SIGNATURE_BYTES),
};

/** The frames of one turn, as node/frames.ts makes them: for all, and for each other set of statements; votes and bundles apart. */
export function closeOrderedTurn<M>(
  from: ValidatorIndex,
  said: readonly OrderedSaid<M>[],
  { others, costs }: { readonly others: readonly ValidatorIndex[]; readonly costs: CostTable },
): OrderedTurn<M> {
  const seal: Seal = { signer: from, leafCount: said.length, signature: SIGNATURE };
  const signed = said.map((message, leafIndex) => ({ message, proof: { seal, leafIndex, path: [] } satisfies Proof }));
  const frames = new Map<string, OrderedParcel<M>>();
  let encodeUs = 0;
  const frameOf = (numbers: readonly number[]): OrderedParcel<M> => {
    const key = numbers.join();
    const known = frames.get(key);
    if (known !== undefined) return known;
    const made = frame(from, numbers, signed, costs);
    frames.set(key, made);
    encodeUs += encodeFrameUs(made.bytes, costs);
    return made;
  };
  const parcels = new Map<ValidatorIndex, OrderedParcel<M>>();
  for (const receiver of others) {
    const mine = (isMine: (said: OrderedSaid<M>) => boolean): readonly number[] =>
      said.flatMap((each, number) => (isMine(each) ? [number] : []));
    const groups = [
      mine(({ to, content }) => to === "all" && "message" in content),
      mine(({ to, content }) => to === "all" && "held" in content),
      mine(({ to }) => to !== "all" && to.includes(receiver)),
    ].filter(({ length }) => length > 0);
    if (groups.length === 0) continue;
    const parts = groups.map(frameOf);
    parcels.set(receiver, {
      from,
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      openUs: parts.reduce((sum, { openUs }) => sum + openUs, 0),
      messages: parts.flatMap(({ messages }) => messages),
      bundles: parts.flatMap(({ bundles }) => bundles),
    });
  }
  const bodyBytes = said.reduce((sum, { bytes }) => sum + bytes, 0);
  const us = said.length === 0 ? 0 : sealUs({ statements: said.length, bodyBytes }, costs);
  return { sealUs: us, encodeUs, signed, parcels };
}

function frame<M>(
  from: ValidatorIndex,
  numbers: readonly number[],
  signed: readonly Signed<OrderedSaid<M>>[],
  costs: CostTable,
): OrderedParcel<M> {
  const chosen = numbers.flatMap((number) => signed[number] ?? []);
  const bodyBytes = chosen.reduce((sum, { message }) => sum + message.bytes, 0);
  const shape = { bodies: numbers.length, bodyBytes, part: partOfTree(signed.length, numbers) };
  return {
    from,
    bytes: frameBytes(shape),
    openUs: openFrameUs(shape, costs),
    messages: chosen.flatMap(({ message: { content }, proof }) =>
      "message" in content ? [{ message: content.message, proof }] : [],
    ),
    bundles: chosen.flatMap(({ message: { content } }) => ("held" in content ? [content.held] : [])),
  };
}
