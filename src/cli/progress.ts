const BAR_WIDTH = 30;

/** Between two drawings, in milliseconds. */
const REDRAW_MS = 50;

/** A bar on standard error while something is under way; nothing where that is no terminal. */
export class Progress {
  /** In the units of `advance`; null where the end is not known. */
  readonly #total: number | null;
  readonly #noun: string;
  readonly #isTty: boolean = process.stderr.isTTY;
  #done = 0;
  #count = 0;
  #drawnMs = 0;

  /** `noun` names what is counted. */
  constructor(total: number | null, noun = "transactions") {
    this.#total = total;
    this.#noun = noun;
  }

  advance({ units, count }: { readonly units: number; readonly count: number }): void {
    this.#done += units;
    this.#count += count;
    if (!this.#isTty || performance.now() - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = performance.now();
    process.stderr.write(`\r${this.#bar()}${this.#count} ${this.#noun}`);
  }

  /** Takes the bar away, so that the summary stands alone. */
  end(): void {
    if (this.#isTty && this.#drawnMs > 0) process.stderr.write("\r\u001b[0K");
  }

  #bar(): string {
    if (this.#total === null || this.#total === 0) return "";
    const filled = Math.min(BAR_WIDTH, Math.round((this.#done / this.#total) * BAR_WIDTH));
    return `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}] `;
  }
}
