import { describe, expect, test } from "bun:test";
import { createIntake, vertexPayloadOf } from "./applications.ts";
import type { Genesis } from "./genesis.ts";
import type { Submission } from "./service.ts";

const PAYLOAD = Uint8Array.of(1, 2, 3);
const KEYS = [Uint8Array.of(9), Uint8Array.of(4, 4)];

function intakeOf(engine: Genesis["engine"]): {
  readonly taken: Uint8Array[];
  readonly intake: ReturnType<typeof createIntake>;
} {
  const taken: Uint8Array[] = [];
  const genesis: Genesis = {
    network: "test",
    createdAt: "2026-01-01T00:00:00Z",
    engine,
    hybrid: false,
    policy: { min: 1, max: 4 },
    validators: [],
  };
  const submission: Submission = { accepted: Promise.resolve([]), finalized: Promise.resolve([]) };
  const intake = createIntake(genesis, {
    submit: (payloads) => {
      taken.push(...payloads);
      return submission;
    },
  });
  return { taken, intake };
}

describe("what a client gives", () => {
  test("goes as it is where everything is ordered, and is shown so", () => {
    const { taken, intake } = intakeOf("pbft");
    intake.submit([{ payload: PAYLOAD, conflictKeys: [] }]);
    expect(taken).toEqual([PAYLOAD]);
    expect(intake.open(PAYLOAD)).toEqual({ payload: PAYLOAD, conflictKeys: [] });
  });

  test("goes in an envelope where nothing is, and comes out of it with its keys in order", () => {
    const { taken, intake } = intakeOf("avalanche");
    intake.submit([{ payload: PAYLOAD, conflictKeys: KEYS }]);
    const [sealed] = taken;
    expect(sealed).not.toEqual(PAYLOAD);
    expect(intake.open(sealed ?? PAYLOAD)).toEqual({
      payload: PAYLOAD,
      conflictKeys: [Uint8Array.of(4, 4), Uint8Array.of(9)],
    });
  });

  test("that is no envelope in a leaderless network is shown as it is", () => {
    expect(intakeOf("avalanche").intake.open(PAYLOAD)).toEqual({ payload: PAYLOAD, conflictKeys: [] });
  });

  test("has conflict keys only where somebody looks at them, each of one byte to its bound, and not too many", () => {
    const submit = (keys: readonly Uint8Array[]) =>
      vertexPayloadOf("avalanche", { payload: PAYLOAD, conflictKeys: keys });
    expect(() => vertexPayloadOf("pbft", { payload: PAYLOAD, conflictKeys: KEYS })).toThrow("leave the keys out");
    expect(() => submit([new Uint8Array(0)])).toThrow("1 to 64 bytes");
    expect(() => submit([new Uint8Array(65)])).toThrow("1 to 64 bytes");
    expect(() => submit(Array.from({ length: 9 }, (_, at) => Uint8Array.of(at)))).toThrow("at most 8");
    expect(() => vertexPayloadOf("avalanche", { payload: new Uint8Array(0), conflictKeys: [] })).toThrow(
      "at least one byte",
    );
  });
});
