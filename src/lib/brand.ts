declare const brand: unique symbol;

/**
 * A nominal type: a `Branded<number, "View">` cannot be passed where a `Branded<number, "Sequence">` is wanted. Brands add
 * up in an intersection, so a `NodeId` is a `Hash`, and not the reverse.
 */
export type Branded<T, Name extends string> = T & { readonly [brand]: { readonly [N in Name]: true } };
