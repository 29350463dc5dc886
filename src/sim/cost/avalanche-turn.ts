import type { AvalancheMessage } from "../../consensus/avalanche/messages.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import { present } from "../../lib/assert.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { encodeFrameUs, frameBytes, openFrameUs, partOfTree, sealUs } from "./avalanche-charges.ts";
import type { CostTable } from "./cost-table.ts";

/** One statement of a node's turn: what it says, how long it is on the wire, and to whom. */
export interface Said {
  readonly content: AvalancheMessage | HeldBundle;
  readonly bytes: number;
  /** The others that get it. */
  readonly to: "all" | readonly ValidatorIndex[];
}

/** All that one receiver gets of one turn: it leaves together, and wakes the receiver once. */
export interface Parcel {
  readonly from: ValidatorIndex;
  readonly bytes: number;
  /** The receiver's event loop until the statements may go to the check of the signature. */
  readonly openUs: number;
  readonly messages: readonly AvalancheMessage[];
  readonly bundles: readonly HeldBundle[];
  /** All that the turn says, in the order in which its seal signs it. */
  readonly said: readonly Said[];
  /** What each of its frames has in full; one lane's statements each. */
  readonly frames: readonly (readonly Said[])[];
}

/** A closed turn: what it costs its node, and what each receiver gets. */
export interface ClosedTurn {
  readonly sealUs: number;
  readonly encodeUs: number;
  readonly parcels: ReadonlyMap<ValidatorIndex, Parcel>;
}

interface Part {
  readonly said: readonly Said[];
  readonly messages: AvalancheMessage[];
  readonly bundles: HeldBundle[];
  bytes: number;
  openUs: number;
}

/** The frames of one turn, as node/frames.ts makes them, and their costs. */
export function closeTurn(
  from: ValidatorIndex,
  said: readonly Said[],
  options: { readonly others: readonly ValidatorIndex[]; readonly costs: CostTable },
): ClosedTurn {
  const { costs, others } = options;
  const places = new Map(said.map((each, index) => [each, index]));
  let encodeUs = 0;
  const frame = (statements: readonly Said[]): Part => {
    const part = partOf(statements);
    if (statements.length === 0) return part;
    const indices = statements.map((each) => present(places.get(each), "a statement of the turn"));
    const shape = { bodies: indices.length, bodyBytes: part.bytes, part: partOfTree(said.length, indices) };
    part.bytes = frameBytes(shape);
    part.openUs = openFrameUs(shape, costs);
    encodeUs += encodeFrameUs(part.bytes, costs);
    return part;
  };
  const toAll = said.filter(({ to }) => to === "all");
  const common = [frame(toAll.filter(isMessage)), frame(toAll.filter((each) => !isMessage(each)))];
  const addressed = new Map<ValidatorIndex, Said[]>();
  for (const each of said) {
    if (each.to === "all") continue;
    for (const receiver of each.to) {
      const list = addressed.get(receiver);
      if (list === undefined) addressed.set(receiver, [each]);
      else list.push(each);
    }
  }
  const parcels = new Map<ValidatorIndex, Parcel>();
  const whole = { from, said };
  const shared = joined(whole, common);
  for (const receiver of others) {
    const own = addressed.get(receiver);
    if (own === undefined && toAll.length === 0) continue;
    parcels.set(receiver, own === undefined ? shared : joined(whole, [...common, frame(own)]));
  }
  const bodyBytes = said.reduce((sum, { bytes }) => sum + bytes, 0);
  const turn = { statements: said.length, bodyBytes };
  return { sealUs: said.length === 0 ? 0 : sealUs(turn, costs), encodeUs, parcels };
}

function partOf(statements: readonly Said[]): Part {
  const part: Part = { said: statements, messages: [], bundles: [], bytes: 0, openUs: 0 };
  for (const { content, bytes } of statements) {
    if ("kind" in content) part.messages.push(content);
    else part.bundles.push(content);
    part.bytes += bytes;
  }
  return part;
}

function joined(
  { from, said }: { readonly from: ValidatorIndex; readonly said: readonly Said[] },
  parts: readonly Part[],
): Parcel {
  return {
    from,
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    openUs: parts.reduce((sum, { openUs }) => sum + openUs, 0),
    messages: parts.flatMap(({ messages }) => messages),
    bundles: parts.flatMap(({ bundles }) => bundles),
    said,
    frames: parts.map((part) => part.said).filter(({ length }) => length > 0),
  };
}

function isMessage({ content }: Said): boolean {
  return "kind" in content;
}
