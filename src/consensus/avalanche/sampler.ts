/** Unpredictable in production (a sample that can be foreseen can be bribed), seeded in a simulation. */
export interface RandomSource {
  /** An integer from 0 to `bound` - 1; `bound` is 1 to 2^32. */
  below(bound: number): number;
}

/**
 * Draws `count` distinct members by weight, one after the other (document 2, FR-002: without replacement; `traps.md`: by
 * weight). All that weigh nothing are never drawn. Ascending.
 */
export function sample<T extends number>(
  members: readonly T[],
  count: number,
  random: RandomSource,
  weightOf: (member: T) => number = () => 1,
): readonly T[] {
  const left = members.filter((member) => weightOf(member) > 0);
  const drawn: T[] = [];
  let total = left.reduce((sum, member) => sum + weightOf(member), 0);
  while (drawn.length < count && left.length > 0) {
    let at = random.below(total);
    const index = left.findIndex((member) => {
      at -= weightOf(member);
      return at < 0;
    });
    const [member] = left.splice(index, 1);
    if (member === undefined) break;
    total -= weightOf(member);
    drawn.push(member);
  }
  return drawn.sort((first, second) => first - second);
}
