/** Whether two byte strings are equal. Takes as long as the equal part: not for secrets. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left === right) return true;
  const { length } = left;
  if (length !== right.length) return false;
  for (let index = 0; index < length; index++) if (left[index] !== right[index]) return false;
  return true;
}
