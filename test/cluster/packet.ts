import type { PeerStatus, Verified } from "../../src/consensus/engine.ts";

/** What crosses a link: bytes as they would be on a wire, and the unsigned hints. */
export type Packet =
  | { readonly kind: "message"; readonly body: Uint8Array; readonly proof: Uint8Array }
  | { readonly kind: "bundle"; readonly body: Uint8Array; readonly proof: Uint8Array }
  | { readonly kind: "status"; readonly status: PeerStatus; readonly lanes: readonly number[] }
  | { readonly kind: "connected" };

/** Only for what was verified: the harness does it in `Host.receive` and `openCommitted`. */
export function minted<T>(value: T): Verified<T> {
  return value as Verified<T>;
}
