import type { RelayedFrame, SealedFrame } from "../node/wire.ts";

/** What a frame carries in full, in order; of a sealed one the rest is leaves. */
export function bodiesOf(frame: SealedFrame | RelayedFrame): readonly Uint8Array[] {
  if (frame.kind === "relayed") return frame.messages.map(({ body }) => body);
  return frame.items.flatMap((item) => (item.kind === "body" ? [item.body] : []));
}
