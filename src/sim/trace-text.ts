import type { TraceRecord } from "./recorder.ts";

/** A trace for people and for `diff`: one line a record, times in virtual milliseconds. The same on every machine. */
export function traceText(records: readonly TraceRecord[]): string {
  return records.map((record) => `${record.atMs.toFixed(3).padStart(12)}  ${wordsOf(record)}\n`).join("");
}

function wordsOf(record: TraceRecord): string {
  switch (record.kind) {
    case "sent":
    case "delivered":
      return `${record.kind} ${record.from}>${record.to} ${record.lane} #${record.frame} ${record.label}`;
    case "phase":
    case "note":
      return `${record.kind} ${record.node} ${record.label}`;
  }
}
