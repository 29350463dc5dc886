/** Whether two byte strings are equal. Takes as long as the equal part: not for secrets. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left === right) return true;
  const { length } = left;
  if (length !== right.length) return false;
  for (let index = 0; index < length; index++) if (left[index] !== right[index]) return false;
  return true;
}

/** Ascending order of byte strings; a prefix comes first. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
