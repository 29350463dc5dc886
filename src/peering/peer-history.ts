const PPM = 1_000_000;

/** Older than about this counts half, and its double a quarter: yesterday's outage must fade. */
const REMEMBERED_MS: number = 24 * 3_600_000;

/** As many frames count in full; more halve what was before. */
const REMEMBERED_FRAMES = 100_000;

export interface PeerObservation {
  /** Frames that were no violation, over all frames. */
  readonly validPpm: number;
  /** Time connected, over the time since the first look. */
  readonly uptimePpm: number;
  /** Whole milliseconds since its last sign of life: a frame, or the connection itself. */
  readonly inactiveMs: number;
}

/** What one node saw of one peer, for reputation reports. Pure: the time comes in and never goes back. */
export class PeerHistory {
  #frames = 0;
  #faults = 0;
  #observedMs = 0;
  #connectedMs = 0;
  #atMs: number;
  #connected = false;
  /** Its last frame, or the end of its last connection. */
  #lastFrameMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
    this.#lastFrameMs = nowMs;
  }

  onConnection(connected: boolean, nowMs: number): void {
    this.#advance(nowMs);
    if (this.#connected) this.#lastFrameMs = Math.max(this.#lastFrameMs, nowMs);
    this.#connected = connected;
  }

  onFrame(nowMs: number): void {
    this.#lastFrameMs = Math.max(this.#lastFrameMs, nowMs);
    this.#frames += 1;
    if (this.#frames > REMEMBERED_FRAMES) {
      this.#frames /= 2;
      this.#faults /= 2;
    }
  }

  onViolation(): void {
    this.#faults += 1;
  }

  at(nowMs: number): PeerObservation {
    this.#advance(nowMs);
    // One frame may hold several violations.
    const faults = Math.min(this.#faults, this.#frames);
    return {
      validPpm: this.#frames === 0 ? PPM : Math.floor(((this.#frames - faults) * PPM) / this.#frames),
      uptimePpm: this.#observedMs === 0 ? PPM : Math.floor((this.#connectedMs * PPM) / this.#observedMs),
      // QUIC keeps a connection alive only while the peer answers; a healthy validator of an idle network sends no frames.
      inactiveMs: this.#connected ? 0 : Math.max(0, Math.floor(nowMs - this.#lastFrameMs)),
    };
  }

  #advance(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = Math.max(this.#atMs, nowMs);
    this.#observedMs += elapsedMs;
    if (this.#connected) this.#connectedMs += elapsedMs;
    if (this.#observedMs > 2 * REMEMBERED_MS) {
      this.#observedMs /= 2;
      this.#connectedMs /= 2;
    }
  }
}
