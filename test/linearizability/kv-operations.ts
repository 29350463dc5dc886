/** What a compare-and-set wants to find. */
export type Expected =
  | { readonly type: "absent" }
  | { readonly type: "version"; readonly version: number }
  | { readonly type: "value"; readonly value: string };

/** Keys are ASCII here, so that their order is that of their bytes; values are compared as text. */
export type KvInput =
  | { readonly type: "get"; readonly key: string }
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "delete"; readonly key: string }
  /** `next` null deletes. */
  | {
      readonly type: "compare-and-set";
      readonly key: string;
      readonly expected: Expected;
      readonly next: string | null;
    }
  /** Keys in `from` .. `to` without `to`; null for no end. */
  | {
      readonly type: "range";
      readonly from: string;
      readonly to: string | null;
      readonly limit: number;
      readonly reverse: boolean;
    };

/** The version of what is or was under a key; "untold" where the answer does not say. */
export type Seen = number | "absent" | "untold";

export interface KvItem {
  readonly key: string;
  readonly value: string;
  readonly version: number | "untold";
}

export type KvOutput =
  | { readonly type: "read"; readonly item: Omit<KvItem, "key"> | null }
  /** `version`: of the write itself. */
  | { readonly type: "written"; readonly version: number | "untold"; readonly previous: Seen }
  /** A compare-and-set that found something else, and what. */
  | { readonly type: "conflict"; readonly current: Seen }
  | { readonly type: "items"; readonly items: readonly KvItem[] };

export function isInRange(key: string, range: { readonly from: string; readonly to: string | null }): boolean {
  return key >= range.from && (range.to === null || key < range.to);
}
