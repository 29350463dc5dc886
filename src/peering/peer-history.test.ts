import { expect, test } from "bun:test";
import { PeerHistory } from "./peer-history.ts";

test("a peer of which nothing is known yet counts as good", () => {
  expect(new PeerHistory(5).at(5)).toEqual({ validPpm: 1_000_000, uptimePpm: 1_000_000, inactiveMs: 0 });
});

test("a connected peer is alive however little it says, and one that is gone has been so since it left", () => {
  const history = new PeerHistory(0);
  history.onConnection(true, 1_000);
  expect(history.at(900_000).inactiveMs).toBe(0);
  history.onConnection(false, 900_000);
  expect(history.at(900_500).inactiveMs).toBe(500);
});

test("shares of valid frames and of connected time, and the time since the last sign of life", () => {
  const history = new PeerHistory(0);
  history.onConnection(true, 1_000);
  for (let frame = 0; frame < 4; frame++) history.onFrame(2_000);
  history.onViolation();
  history.onConnection(false, 3_000);
  expect(history.at(4_000.75)).toEqual({ validPpm: 750_000, uptimePpm: 499_906, inactiveMs: 1_000 });
});

test("an outage fades: after days of connection little of it is left", () => {
  const history = new PeerHistory(0);
  const dayMs = 24 * 3_600_000;
  history.onConnection(true, dayMs);
  expect(history.at(dayMs).uptimePpm).toBe(0);
  for (let day = 2; day <= 12; day++) history.at(day * dayMs);
  expect(history.at(12 * dayMs).uptimePpm).toBeGreaterThan(990_000);
});

test("violations never outnumber the frames", () => {
  const history = new PeerHistory(0);
  history.onFrame(1);
  for (let round = 0; round < 9; round++) history.onViolation();
  expect(history.at(1).validPpm).toBe(0);
});
