/** What the main thread and the database thread say to each other. Ports keep the order of messages. */
export type ToWriter =
  /** `bytes` is a packed `WriteBatch` whose buffer moved to this thread. */
  { readonly kind: "write"; readonly bytes: Uint8Array; readonly count: number } | { readonly kind: "close" };

export type FromWriter =
  | { readonly kind: "ready" }
  /** The next `batches` writes, in the order of their calls, are on disk. */
  | {
      readonly kind: "committed";
      readonly batches: number;
      readonly rows: number;
      readonly bytes: number;
      readonly seconds: number;
    }
  /** Nothing after the last `committed` is on disk, and nothing more will be. */
  | { readonly kind: "failed"; readonly malformed: boolean; readonly code: string; readonly message: string };

export interface WriterData {
  /** Address of the open database, valid until the main thread closes it, which it does after this thread ended. */
  readonly handle: bigint;
  readonly groupBytesMax: number;
}
