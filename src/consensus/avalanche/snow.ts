/**
 * Snowball's memory of one unit (arXiv 1906.08936, fig. 3: confidence d and counter cnt), with the moving average that
 * document 2, 3.5 asks for. Integers only: what is decided must not depend on rounding.
 */
export class Snow {
  /** Polls in which the preference threshold was reached: Snowball's d[]. */
  successes = 0;
  /** Polls in a row in which the confidence threshold was reached: cnt. */
  inRow = 0;
  polls = 0;
  /** Polls since one last reached the preference threshold: where nothing moves, nobody's preference does. */
  idle = 0;
  /** Parts per million. */
  confidencePpm = 0;

  /**
   * One poll's outcome. The average starts at the first poll's ratio (correction 4), and the ratio is that of the votes to
   * the threshold: with q of n as threshold, n - q silent validators must not keep a network below 0.95 for ever.
   */
  onPoll(yes: number, thresholds: { readonly preference: number; readonly confidence: number }): void {
    const ratioPpm = Math.min(PPM, Math.floor((yes * PPM) / thresholds.confidence));
    this.confidencePpm =
      this.polls === 0 ? ratioPpm : Math.floor((this.confidencePpm * KEPT + ratioPpm * (TENTHS - KEPT)) / TENTHS);
    this.polls += 1;
    this.idle = yes >= thresholds.preference ? 0 : this.idle + 1;
    if (yes >= thresholds.preference) this.successes += 1;
    this.inRow = yes >= thresholds.confidence ? this.inRow + 1 : 0;
  }

  /** A flip resets the counter (fig. 3, line 10). */
  reset(): void {
    this.inRow = 0;
  }

  /** What one vertex of a bundle begins with when it is found to be contested: until then it shared the bundle's polls. */
  copy(): Snow {
    const copy = new Snow();
    copy.successes = this.successes;
    copy.inRow = this.inRow;
    copy.polls = this.polls;
    copy.idle = this.idle;
    copy.confidencePpm = this.confidencePpm;
    return copy;
  }
}

const PPM = 1_000_000;

/** Document 2, 3.5: nine tenths of the old value, one tenth of the new. */
const KEPT = 9;
const TENTHS = 10;
