import { BASE64, CLIENT, COUNT, flag, HASH, KEY, nullable, NUMBER, object } from "./schema-parts.ts";

const HASH_OR_NULL = { ...HASH, type: ["string", "null"] };
const STATE_HASH = { ...HASH, description: "of the application's state and its sessions after the last batch here" };
const BATCH = { ...COUNT, description: "the sequence number of the batch that the validators agreed on" };
const POSITION = { ...COUNT, description: "the last that the state has seen" };
const VERSION = { ...COUNT, description: "the position of the command that wrote the key last" };

const OUTCOME = object({
  client: CLIENT,
  number: NUMBER,
  status: { type: "string", enum: ["applied", "rejected"] },
  result: {
    ...BASE64,
    type: ["string", "null"],
    description: "the application's answer; null where it was too large to be remembered",
  },
  reason: { ...nullable("string"), description: "why it was rejected" },
  position: { ...COUNT, description: "its place in the total order, from 1" },
  batch: BATCH,
  hash: { ...HASH_OR_NULL, description: "the vertex that carried it; null where it is not known any more" },
  stateHash: STATE_HASH,
  isReplay: {
    ...flag,
    description:
      "this node had applied it before it was asked; false, with the first one's position, where it had not yet",
  },
});

const ENTRY = object({ key: KEY, value: BASE64, version: VERSION });

/** Answers of the routes of replicated applications. */
export const APPLICATION_SCHEMAS: Readonly<Record<string, object>> = {
  Outcome: OUTCOME,
  Outcomes: object({ outcomes: { type: "array", items: { $ref: "#/components/schemas/Outcome" } } }),
  QueryAnswer: object({
    answer: BASE64,
    position: POSITION,
    batch: BATCH,
    stateHash: STATE_HASH,
  }),
  KeyValueEntry: ENTRY,
  KeyValueRange: object({
    items: { type: "array", items: { $ref: "#/components/schemas/KeyValueEntry" } },
    next: {
      ...nullable("string"),
      description: "`from` of the next page, or `to` of the next page in reverse; null where there is none",
    },
    position: POSITION,
    batch: BATCH,
    stateHash: STATE_HASH,
  }),
  KeyWritten: object({
    version: { ...VERSION, description: "the position of this write: the key's version, unless it is deleted now" },
    previous: { ...VERSION, type: ["integer", "null"], description: "the version before; null where there was no key" },
    batch: BATCH,
    stateHash: STATE_HASH,
    isReplay: flag,
  }),
};
