import type { RelayedFrame, SealedFrame } from "../node/wire.ts";

/** What a frame carries, in order. */
export function bodiesOf(frame: SealedFrame | RelayedFrame): readonly Uint8Array[] {
  return (frame.kind === "relayed" ? frame.messages : frame.items).map(({ body }) => body);
}
