export type Columns<T> = readonly (readonly [title: string, cell: (item: T) => string])[];

/** A line for each item, in columns as wide as they must be. */
export function printTable<T>(items: readonly T[], columns: Columns<T>): void {
  if (items.length === 0) console.log("none");
  if (items.length === 0) return;
  const rows = [columns.map(([title]) => title), ...items.map((item) => columns.map(([, cell]) => cell(item)))];
  const widths = columns.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  for (const row of rows)
    console.log(
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join("  ")
        .trimEnd(),
    );
}
