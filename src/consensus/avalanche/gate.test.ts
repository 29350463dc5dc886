import { describe, expect, test } from "bun:test";
import type { Epoch, ValidatorIndex } from "../../membership/ids.ts";
import { ValidatorSet } from "../../membership/validator-set.ts";
import { chain, lane, made, NETWORK, vertex } from "./avalanche.cases.ts";
import type { BundleNode } from "./bundle-node.ts";
import type { Member } from "./conflict-set.ts";
import { Gate, type Testimony } from "./gate.ts";

const [X, Y] = chain([...lane(0, 1), made({ creator: 1, payloads: [vertex("y")] })]) as [BundleNode, BundleNode];
const PLACE_X: Member = { node: X, vertex: null };
const PLACE_Y: Member = { node: Y, vertex: null };

/** The same four in each epoch: f = 1, q = 3. */
function sets(...epochs: readonly number[]): readonly ValidatorSet[] {
  const active = [0, 1, 2, 3] as ValidatorIndex[];
  return epochs.map((epoch) => new ValidatorSet(epoch as Epoch, NETWORK.set.roster, active));
}

function says(member: Member, epoch: number, isProven = false): Testimony {
  return { member, epoch: epoch as Epoch, isProven };
}

/** What its witness knows to be final, and no more. */
function settled(member: Member): Testimony {
  return { member, epoch: null, isProven: false };
}

class Passage {
  readonly gate: Gate;

  constructor(...epochs: readonly number[]) {
    this.gate = new Gate(sets(...epochs));
  }

  hear(from: number, passed: readonly number[], ...testimonies: readonly Testimony[]): this {
    this.gate.hear(from as ValidatorIndex, passed as readonly Epoch[], testimonies);
    return this;
  }

  get inherited(): readonly string[] | null {
    const name = (node: BundleNode): string => (node === X ? "x" : "y");
    return this.gate.inheritance()?.map(({ member, epoch }) => `${name(member.node)}@${epoch}`) ?? null;
  }
}

describe("the passage from the first epoch to the second", () => {
  test("waits for a quorum of the first", () => {
    const passage = new Passage(0).hear(0, [0]).hear(1, [0]);
    expect(passage.inherited).toBeNull();
    expect(passage.gate.wanted()).toEqual([2, 3] as ValidatorIndex[]);
    expect(passage.hear(2, [0]).inherited).toEqual([]);
  });

  test("takes over what one validator proves", () => {
    expect(
      new Passage(0)
        .hear(0, [0], says(PLACE_X, 0, true))
        .hear(1, [0])
        .hear(2, [0]).inherited,
    ).toEqual(["x@0"]);
  });

  test("takes over what f + 1 say without proof", () => {
    const passage = new Passage(0).hear(0, [0], says(PLACE_X, 0)).hear(1, [0], says(PLACE_X, 0)).hear(2, [0]);
    expect(passage.inherited).toEqual(["x@0"]);
  });

  test("does not count who says alone what it cannot prove: it lies, or what it knows is not known here yet", () => {
    const passage = new Passage(0).hear(0, [0], says(PLACE_X, 0)).hear(1, [0]).hear(2, [0]);
    expect(passage.inherited).toBeNull();
    expect(passage.gate.wanted()).toEqual([0, 3] as ValidatorIndex[]);
    expect(passage.hear(3, [0]).inherited).toEqual([]);
  });

  test("counts it when it proves its word, or another one says the same", () => {
    const heard = (): Passage => new Passage(0).hear(0, [0], says(PLACE_X, 0)).hear(1, [0]).hear(2, [0]);
    expect(heard().hear(0, [0], says(PLACE_X, 0, true)).inherited).toEqual(["x@0"]);
    expect(heard().hear(3, [0], says(PLACE_X, 0)).inherited).toEqual(["x@0"]);
  });

  test("hears nobody who was no validator of the first", () => {
    expect(new Passage(0).hear(7, [0]).hear(8, [0]).hear(9, [0]).inherited).toBeNull();
  });
});

describe("the passage to a third epoch", () => {
  test("takes what is older from those that voted in the second: of f + 1 one is correct", () => {
    const passage = new Passage(1, 0);
    for (const from of [0, 1]) passage.hear(from, [0, 1], says(PLACE_X, 0));
    expect(passage.hear(2, [0, 1], says(PLACE_Y, 0)).inherited).toEqual(["x@0"]);
  });

  test("lets the newer certificate come last", () => {
    const passage = new Passage(1, 0);
    for (const from of [0, 1, 2]) passage.hear(from, [0, 1], says(PLACE_X, 0), says(PLACE_Y, 1, true));
    expect(passage.inherited).toEqual(["x@0", "y@1"]);
  });

  test("does not rest on validators that never came to vote in the second: it hears the first as well", () => {
    const passage = new Passage(1, 0)
      .hear(0, [0])
      .hear(1, [0])
      .hear(2, [0], says(PLACE_X, 0, true));
    expect(passage.inherited).toEqual(["x@0"]);
    const unsure = new Passage(1, 0).hear(0, [0]).hear(1, [0]).hear(2, [0], says(PLACE_X, 0));
    expect(unsure.inherited).toBeNull();
  });

  test("takes nobody's word for an older certificate that neither votes nor others back", () => {
    const passage = new Passage(1, 0);
    for (const from of [0, 1]) passage.hear(from, [0, 1]);
    expect(passage.hear(2, [0, 1], says(PLACE_Y, 0)).inherited).toEqual([]);
  });

  test("takes one validator's newer certificate and another one's older of the same unit together", () => {
    const passage = new Passage(2, 1, 0);
    passage.hear(0, [2], says(PLACE_X, 0)).hear(1, [2], says(PLACE_X, 1));
    expect(passage.hear(2, [2]).inherited).toEqual(["x@0"]);
  });

  test("takes what is final elsewhere as of the newest epoch, where nobody backs a rival", () => {
    const passage = new Passage(1, 0);
    for (const from of [0, 1]) passage.hear(from, [0, 1]);
    expect(passage.hear(2, [0, 1], settled(PLACE_X)).inherited).toBeNull();
    expect(passage.hear(3, [0, 1], says(PLACE_X, 0)).inherited).toContain("x@1");
  });
});
