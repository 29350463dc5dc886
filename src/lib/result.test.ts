import { describe, expect, test } from "bun:test";
import { fail, ok } from "./result.ts";

describe("a result", () => {
  test("is a value or an error, told apart by one field", () => {
    expect(ok(1)).toEqual({ ok: true, value: 1 });
    expect(fail("why")).toEqual({ ok: false, error: "why" });
  });
});
