import { describe, expect, test } from "bun:test";
import { assert, Bug, present, unreachable } from "./assert.ts";

describe("an assertion", () => {
  test("that holds does nothing, and one that fails stops with a Bug", () => {
    assert(true, "never seen");
    expect(() => assert(false, "three nodes are no quorum")).toThrow(new Bug("three nodes are no quorum"));
  });

  test("of presence lets every value through that is neither null nor undefined", () => {
    for (const value of [0, "", false, Number.NaN]) expect(present(value, "it")).toBe(value);
    expect(() => present(null, "the leader")).toThrow("missing: the leader");
    expect(() => present(undefined, "the leader")).toThrow(Bug);
  });

  test("of an exhaustive switch names the value that nobody expected", () => {
    expect(() => unreachable("surprise" as never)).toThrow('unreachable: "surprise"');
  });
});
