import { describe, expect, test } from "bun:test";
import { membershipOf, networkOf } from "../../test/cluster/signing.ts";
import type { Epoch, Nonce, Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import { type NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import { genesisState } from "../replication/executor.ts";
import { StartGate, type Testimony } from "./start-gate.ts";

const first = networkOf(4);
const second: NetworkContext = { ...first, set: new ValidatorSet(1 as Epoch, first.set.roster) };
const state = genesisState(first, membershipOf(first));

const NOTHING: Testimony = { vote: null, view: null, bundle: null, dagBundle: null, stable: 0 as Sequence };
const silence = { epoch: 1 as Epoch, term: 0 as Epoch, stable: 100, nonce: 0, viewFloor: -1 };
const remembered = { vote: 0 as Sequence, view: 0 as View, silence: null };

describe("a node whose state went back over the end of an epoch", () => {
  test("says nothing in the epoch before, whatever peers remember, until a checkpoint of the later one is stable", () => {
    let network = first;
    const written: unknown[] = [];
    const gate = new StartGate({
      get network() {
        return network;
      },
      self: () => 0 as ValidatorIndex,
      ownNonce: () => 0 as Nonce,
      onDagLane: () => undefined,
      log: () => undefined,
      onFree: () => written.push("free"),
      remember: (one) => written.push(one),
    });
    gate.resume(silence);
    gate.close(remembered);
    for (const peer of [1, 2, 3]) gate.onTestimony(peer as ValidatorIndex, NOTHING);
    gate.onExecuted(state, 500 as Sequence);
    expect(gate.isSilent).toBe(true);
    network = second;
    gate.close(remembered);
    gate.onExecuted(state, 99 as Sequence);
    expect(written).toEqual([]);
    gate.onExecuted(state, 100 as Sequence);
    expect(written).toEqual([null, "free"]);
  });
});
