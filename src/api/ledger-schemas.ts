import { AMOUNT, COUNT, flag, HASH, nullable, object, text } from "./schema-parts.ts";

const POSITION = { ...COUNT, description: "total order only: the last that the state has seen" };
const BATCH = { ...COUNT, description: "total order only: the batch that the validators agreed on" };
const STATE_HASH = { ...HASH, description: "total order only: of state and sessions after the last batch here" };
const STANDING = { position: POSITION, batch: BATCH, stateHash: STATE_HASH };

/** Where a command took its place. */
const PLACE = {
  position: { ...COUNT, description: "total order only: its place, from 1" },
  batch: BATCH,
  stateHash: STATE_HASH,
  isReplay: { ...flag, description: "total order only: this node had applied it before it was asked" },
};

const BALANCES = { fromBalance: AMOUNT, toBalance: AMOUNT };
const NEXT = { ...nullable("string"), description: "`from` of the next page; null where there is none" };
const list = (item: object): object => ({ type: "array", items: item });

/** Answers of the ledger's routes. Members that are not required are a total order's. */
export const LEDGER_SCHEMAS: Readonly<Record<string, object>> = {
  Ledger: object(
    {
      total: AMOUNT,
      accounts: COUNT,
      digest: { ...HASH, description: "of all accounts; equal at nodes that hold the same transfers to be final" },
      sequence: { ...COUNT, description: "the last final vertex that the state has seen" },
      isCurrent: flag,
    },
    { allowances: { ...COUNT, description: "total order only: how many there are" }, ...STANDING },
  ),
  LedgerAccount: object(
    {
      name: text,
      balance: AMOUNT,
      nextNumber: COUNT,
      isOwn: { ...flag, description: "whether this node may debit it" },
      waiting: {
        ...list(object({ to: text, amount: AMOUNT, number: COUNT })),
        description: "final transfers that take effect later; with a total order there are none",
      },
    },
    STANDING,
  ),
  LedgerAccounts: object({
    items: list(object({ name: text, balance: AMOUNT, nextNumber: COUNT })),
    next: NEXT,
    ...STANDING,
  }),
  LedgerAllowances: object({
    account: text,
    items: list(object({ spender: text, amount: AMOUNT })),
    next: NEXT,
    ...STANDING,
  }),
  Transfer: object(
    {
      from: text,
      to: text,
      amount: AMOUNT,
      number: COUNT,
      hash: { ...HASH, type: ["string", "null"], description: "the vertex; null where that is not known any more" },
      sequence: nullable("integer"),
      finalized: flag,
      finalityMs: nullable("number"),
      result: {
        type: ["string", "null"],
        enum: ["applied", "waiting", "rejected", null],
        description: "what became of it; null until it is final",
      },
      reason: nullable("string"),
    },
    { ...BALANCES, ...PLACE },
  ),
  Approval: object({ account: text, spender: text, amount: AMOUNT, previous: AMOUNT, ...PLACE }),
  TransferFrom: object({
    spender: text,
    from: text,
    to: text,
    amount: AMOUNT,
    allowance: { ...AMOUNT, description: "what is left of it" },
    ...BALANCES,
    ...PLACE,
  }),
};
