/** What is no whole number becomes NaN, which the command refuses with the range that it wants. */
export function wholeNumber(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
}
