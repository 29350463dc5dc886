import type { Lane } from "../node/ports.ts";

/** What the transport counts. The observability layer implements it; nothing here may throw. */
export interface NetworkMetrics {
  onSent(lane: Lane | "request", bytes: number): void;
  onReceived(lane: Lane | "request", bytes: number): void;
  onDropped(lane: Lane, reason: "not-connected" | "queue-full"): void;
  onConnection(change: "opened" | "closed"): void;
  onHandshakeFailure(code: string): void;
  onRoundTrip(seconds: number): void;
}

export const NO_NETWORK_METRICS: NetworkMetrics = {
  onSent: () => undefined,
  onReceived: () => undefined,
  onDropped: () => undefined,
  onConnection: () => undefined,
  onHandshakeFailure: () => undefined,
  onRoundTrip: () => undefined,
};
