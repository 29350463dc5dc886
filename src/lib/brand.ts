declare const brand: unique symbol;

/** A nominal type: a `Branded<number, "View">` cannot be passed where a `Branded<number, "Sequence">` is wanted. */
export type Branded<T, Name extends string> = T & { readonly [brand]: Name };
