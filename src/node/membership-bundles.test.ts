import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import { decode, encode } from "../codec/codec.ts";
import { type Bundle, bundleCodec, type HeldBundle, holdBundle } from "../dag/bundle.ts";
import { sealEnvelope } from "../dag/conflict-keys.ts";
import { RESOLUTION_PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import { type Report, reportCodec } from "../dag/report.ts";
import { proveUnit } from "../dag/unit-proof.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import { commandsOf, commandVerdict, reportsOf } from "./membership-bundles.ts";
import { OwnLane } from "./own-lane.ts";
import { encodeReport, Resolutions } from "./resolutions.ts";

const network = networkOf(4);

function bundleOf(changes: Partial<Bundle> = {}): Bundle {
  return {
    creator: 1 as ValidatorIndex,
    term: 0 as Epoch,
    purpose: "resolution",
    firstNonce: 1 as Nonce,
    timestampMs: 1_000,
    parents: [network.genesis],
    payloads: [],
    ...changes,
  };
}

const subject: HeldBundle = holdBundle(
  network,
  bundleOf({
    purpose: "dag",
    parents: [network.genesis, network.genesis],
    payloads: [sealEnvelope({ conflictKeys: [new Uint8Array([1])], payload: new Uint8Array(0) })],
  }),
);

const report: Report = { epoch: 0 as Epoch, subject: proveUnit(subject, 0), certified: null };
const effect = { kind: "report", subject: { bundle: subject.ref.digest, vertex: 0 }, certified: null } as const;

describe("a bundle of reports", () => {
  test("says what the engine wanted said, after the own lane has carried it", () => {
    const encoded = encodeReport(0 as Epoch, effect, (digest) => (digest === subject.ref.digest ? subject : undefined));
    const lane = new OwnLane(network, 1 as ValidatorIndex, { nonce: 0 as Nonce, tip: network.genesis });
    expect(encoded !== null && lane.report(encoded)).toBe(true);
    expect(lane.queued).toBe(1);
    const formed = lane.form(1_000);
    const bundle = decode(bundleCodec, formed?.body ?? new Uint8Array(0));
    expect(bundle).toMatchObject({ purpose: "resolution", firstNonce: 1 });
    expect(reportsOf(bundle)).toEqual([report]);
    expect(commandsOf(bundle)).toEqual([]);
    expect(commandVerdict(network, bundle)).toEqual({ kind: "accept", obligations: [] });
    expect([lane.queued, lane.form(1_000)]).toEqual([0, null]);
  });

  test("of more than a bundle's bytes becomes several", () => {
    const lane = new OwnLane(network, 1 as ValidatorIndex, { nonce: 0 as Nonce, tip: network.genesis });
    for (let count = 0; count < 3; count++) lane.report(new Uint8Array(RESOLUTION_PAYLOAD_BYTES_MAX / 2 + 1));
    const counts = [1, 2, 3, 4].map(() => lane.form(1_000)?.held.ref.count ?? 0);
    expect(counts).toEqual([1, 1, 1, 0]);
  });

  test("is not made where its certificate cannot be shown", () => {
    const votes = { unit: { bundle: network.genesis, vertex: 0 }, votes: [] };
    const bundleOf = (digest: string): HeldBundle | undefined => (digest === subject.ref.digest ? subject : undefined);
    expect(encodeReport(0 as Epoch, { ...effect, certified: votes }, bundleOf)).toBeNull();
  });

  test("may carry payloads that no other bundle may", () => {
    const large = bundleOf({ payloads: [new Uint8Array(RESOLUTION_PAYLOAD_BYTES_MAX)] });
    expect(decode(bundleCodec, encode(bundleCodec, large))).toEqual(large);
    expect(() => encode(bundleCodec, { ...large, purpose: "membership" })).toThrow();
  });

  test("is refused where a payload is no report, and left alone where it is not understood", () => {
    const noise = bundleOf({ payloads: [new Uint8Array([1, 2, 3])] });
    expect(commandVerdict(network, noise).kind).toBe("reject");
    const early = encode(reportCodec, { ...report, epoch: 1 as Epoch });
    expect(commandVerdict(network, bundleOf({ payloads: [early] }))).toMatchObject({
      kind: "ignore",
      reason: expect.stringContaining("report-not-understood"),
    });
  });

  test("no other purpose says a report", () => {
    const payloads = [encode(reportCodec, report)];
    expect(reportsOf(bundleOf({ purpose: "application", payloads }))).toEqual([]);
    expect(reportsOf(bundleOf({ purpose: "dag", payloads }))).toEqual([]);
  });
});

test("an engine hears each batch's reports once, and what is remembered when it begins", () => {
  const { unit } = { unit: { bundle: subject.ref.digest, vertex: 0 } };
  const ruled = { open: [], rulings: [{ epoch: 0 as Epoch, unit, won: true, sets: [network.genesis] }] };
  const resolutions = new Resolutions({ open: [], rulings: [] });
  expect(resolutions.remembered).toBeNull();
  const decided = [{ winner: unit, sets: [network.genesis] }];
  const heard = { decided, lost: [], reported: [] };
  expect(resolutions.onExecuted({ state: ruled, ...heard })).toEqual({ kind: "resolutions", ...heard });
  expect(resolutions.onExecuted({ state: ruled, decided: [], lost: [], reported: [] })).toBeNull();
  expect(resolutions.remembered).toEqual({ kind: "resolutions", ...heard });
});
