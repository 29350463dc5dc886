import type { Branded } from "../lib/brand.ts";

/** A validator's place in the network's roster; it stays the same through all epochs. */
export type ValidatorIndex = Branded<number, "ValidatorIndex">;

/** Counts the validator sets of a network; the genesis set is epoch 0. */
export type Epoch = Branded<number, "Epoch">;

/** PBFT's view number; the leader of view v is validator v mod n. */
export type View = Branded<number, "View">;

/** PBFT's sequence number: the place of one batch in the log, from 1. */
export type Sequence = Branded<number, "Sequence">;

/** The place of one vertex in the total order, from 1; what the API calls `sequence`. */
export type Position = Branded<number, "Position">;

/** Counts the vertices that one creator made, from 1, without gaps. */
export type Nonce = Branded<number, "Nonce">;
