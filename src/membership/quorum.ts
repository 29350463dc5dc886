import { assert } from "../lib/assert.ts";

/**
 * How many of n validators may be Byzantine: f = floor((n - 1) / 3).
 * Source: Lamport, Shostak, Pease 1982: agreement with f traitors needs n >= 3f + 1.
 */
export function faultTolerance(validatorCount: number): number {
  assert(Number.isInteger(validatorCount) && validatorCount >= 1, `a validator count of 1 or more: ${validatorCount}`);
  return Math.floor((validatorCount - 1) / 3);
}

/**
 * The smallest q such that any two sets of q validators share an honest one: q = floor((n + f) / 2) + 1. Equal to 2f + 1
 * when n = 3f + 1; larger when it must be ("2f + 1" is unsafe for n = 6, where two quorums of 3 need not meet).
 */
export function quorumSize(validatorCount: number): number {
  return Math.floor((validatorCount + faultTolerance(validatorCount)) / 2) + 1;
}

/** f + 1: the fewest validators of which one must be honest. */
export function honestMinority(validatorCount: number): number {
  return faultTolerance(validatorCount) + 1;
}
