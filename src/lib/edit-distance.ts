/** Insertions, deletions and replacements of one character that turn one text into the other (Levenshtein 1966). */
export function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

/** The known name that is most like this one. */
export function nearest(name: string, known: readonly string[]): string {
  return known.reduce(
    (best, candidate) => (editDistance(name, candidate) < editDistance(name, best) ? candidate : best),
    known[0] ?? "",
  );
}
