import { describe, expect, test } from "bun:test";
import { CostTableError, parseCostTable, REFERENCE_COSTS } from "./cost-table.ts";

const CASES: readonly (readonly [what: string, json: string, code: CostTableError["code"], named: string])[] = [
  ["half a text", "{", "not-json", "calibrate"],
  ["a list", "[]", "not-an-object", "object"],
  ["nothing", "null", "not-an-object", "object"],
  ["a misspelled field", JSON.stringify({ ...REFERENCE_COSTS, signMs: 1 }), "unknown-field", "signMs"],
  ["a missing field", JSON.stringify({ ...REFERENCE_COSTS, signUs: undefined }), "missing-field", "signUs"],
  ["a text for a number", JSON.stringify({ ...REFERENCE_COSTS, signUs: "1" }), "not-a-number", "signUs"],
  ["no number", JSON.stringify({ ...REFERENCE_COSTS, signUs: null }), "not-a-number", "signUs"],
  ["a negative cost", JSON.stringify({ ...REFERENCE_COSTS, fsyncUs: -1 }), "not-a-number", "fsyncUs"],
  ["no cores", JSON.stringify({ ...REFERENCE_COSTS, coresPerNode: 0 }), "not-a-number", "coresPerNode"],
];

describe("a cost table from JSON", () => {
  test("comes back as it was written", () => {
    expect(parseCostTable(JSON.stringify(REFERENCE_COSTS))).toEqual(REFERENCE_COSTS);
  });

  test("may say that something is free", () => {
    expect(parseCostTable(JSON.stringify({ ...REFERENCE_COSTS, fsyncUs: 0 })).fsyncUs).toBe(0);
  });

  test.each(CASES)("refuses %s and says what is wrong", (_what, json, code, named) => {
    const parse = (): unknown => parseCostTable(json);
    expect(parse).toThrow(CostTableError);
    expect(parse).toThrow(named);
    expect(parse).toThrow(expect.objectContaining({ code }));
  });
});
