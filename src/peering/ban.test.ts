import { describe, expect, test } from "bun:test";
import {
  automaticBan,
  BAN_FIRST_MS,
  BAN_LONGEST_MS,
  isBanActive,
  operatorBan,
  STRIKE_FORGIVEN_MS,
  strikesAt,
} from "./ban.ts";

describe("a ban", () => {
  test("ends at its time, an operator's without a time never", () => {
    const ban = automaticBan(null, "malformed", 1_000);
    expect(isBanActive(ban, 1_000 + BAN_FIRST_MS - 1)).toBe(true);
    expect(isBanActive(ban, 1_000 + BAN_FIRST_MS)).toBe(false);
    expect(isBanActive(operatorBan(null, "", 0, null), Number.MAX_SAFE_INTEGER)).toBe(true);
  });

  test("takes twice as long with every repeat, up to a day", () => {
    let ban = automaticBan(null, "malformed", 0);
    const lengths: number[] = [];
    for (let round = 0; round < 12; round++) {
      lengths.push((ban.untilMs ?? 0) - ban.sinceMs);
      ban = automaticBan(ban, "malformed", ban.untilMs ?? 0);
    }
    expect(lengths.slice(0, 4)).toEqual([1, 2, 4, 8].map((factor) => factor * BAN_FIRST_MS));
    expect(lengths.at(-1)).toBe(BAN_LONGEST_MS);
  });

  test("is forgiven a strike for each day without another", () => {
    const first = automaticBan(null, "malformed", 0);
    const second = automaticBan(first, "malformed", first.untilMs ?? 0);
    const endMs = second.untilMs ?? 0;
    expect(strikesAt(second, endMs - 1)).toBe(2);
    expect(strikesAt(second, endMs + STRIKE_FORGIVEN_MS)).toBe(1);
    const later = automaticBan(second, "malformed", endMs + 2 * STRIKE_FORGIVEN_MS);
    expect((later.untilMs ?? 0) - later.sinceMs).toBe(BAN_FIRST_MS);
  });

  test("by an operator neither adds a strike nor takes one away", () => {
    const first = automaticBan(null, "malformed", 0);
    expect(operatorBan(first, "maintenance", 1, 5_000)).toMatchObject({ strikes: 1, untilMs: 5_001, by: "operator" });
    expect(operatorBan(null, "maintenance", 1, 5_000).strikes).toBe(0);
  });
});
