/** Above this many, every second sample is dropped: half a megabyte, and percentiles as good as anyone can read. */
const SAMPLES_MAX = 65_536;

/** Percentiles of a stream of times in bounded memory. */
export class Latencies {
  #samples: number[] = [];
  /** Of so many samples one is kept. */
  #stride = 1;
  #seen = 0;
  #slowest = 0;

  add(ms: number): void {
    this.#slowest = Math.max(this.#slowest, ms);
    if (this.#seen++ % this.#stride !== 0) return;
    this.#samples.push(ms);
    if (this.#samples.length < SAMPLES_MAX) return;
    this.#samples = this.#samples.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }

  /** In milliseconds; null before the first sample. The slowest is exact. */
  summary(): { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number } | null {
    if (this.#seen === 0) return null;
    const sorted = [...this.#samples].sort((left, right) => left - right);
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? this.#slowest;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: this.#slowest };
  }

  /** As words at the end of a sentence. */
  toString(): string {
    const summary = this.summary();
    if (summary === null) return "";
    const [p50, p95, p99, max] = [summary.p50, summary.p95, summary.p99, summary.max].map((ms) => ms.toFixed(0));
    return `finality p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms, slowest ${max} ms`;
  }
}
