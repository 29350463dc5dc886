import { APPLICATION_ROUTES } from "./application-table.ts";
import {
  getFinalized,
  getHealth,
  getReady,
  getStatus,
  getValidators,
  getVertex,
  postBatch,
  postVertex,
} from "./handlers.ts";
import { LEDGER_ROUTES } from "./ledger-table.ts";
import { getMembership, postAdmit, postDismiss, postLeave } from "./membership.ts";
import { getPeers, postBan, postUnban } from "./peers.ts";
import {
  BAN_REASON_CHARS_MAX,
  BAN_SECONDS_MAX,
  BATCH_PAYLOADS_MAX,
  PAGE_ITEMS_DEFAULT,
  PAGE_ITEMS_MAX,
  WAIT_MS_DEFAULT,
  WAIT_MS_MAX,
} from "./limits.ts";
import { KV_ROUTES } from "./kv-table.ts";
import { getEpochs, getProof } from "./proof-routes.ts";
import type { ProblemKind } from "./problem.ts";
import type { Parameter, Route } from "./route.ts";

const WAIT: readonly Parameter[] = [
  { name: "wait", description: "`finalized`: answer when final", schema: { type: "string", enum: ["finalized"] } },
  {
    name: "timeoutMs",
    description: "how long to wait, in milliseconds",
    schema: { type: "integer", minimum: 1, maximum: WAIT_MS_MAX, default: WAIT_MS_DEFAULT },
  },
];

const SUBMIT_PROBLEMS: readonly ProblemKind[] = [
  "malformed",
  "transfers-only",
  "commands-only",
  "payload-empty",
  "payload-too-large",
  "overloaded",
  "not-ready",
  "observer",
  "stopping",
  "storage-failed",
  "timeout",
];

const CHANGE_PROBLEMS: readonly ProblemKind[] = [
  "malformed",
  "not-applicable",
  "unsupported-media-type",
  "overloaded",
  "not-ready",
  "observer",
  "stopping",
  "storage-failed",
  "timeout",
];

const WAIT_FOR_SUCCESSOR = {
  type: "boolean",
  default: false,
  description: "at the minimum: let the removal wait for a successor instead of refusing it",
};

const BASE64 = { type: "string", contentEncoding: "base64" };

export const ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/vertices",
    summary:
      "Submit one payload: the body's bytes, or JSON with base64. Answered when it is durable at this node, or final",
    query: WAIT,
    body: {
      "application/octet-stream": {},
      "application/json": {
        type: "object",
        required: ["payload"],
        properties: {
          payload: BASE64,
          conflictKeys: {
            type: "array",
            items: BASE64,
            maxItems: 8,
            description: "on avalanche: of all vertices with one of these, of 1 to 64 bytes, at most one is accepted",
          },
        },
      },
    },
    answers: { 200: "Receipt", 202: "Receipt" },
    problems: [...SUBMIT_PROBLEMS, "conflict-keys-refused", "malformed-keys"],
    handle: postVertex,
  },
  {
    method: "POST",
    path: "/v1/vertices/batch",
    summary: `Submit up to ${BATCH_PAYLOADS_MAX} payloads, all or none: JSON, or each payload behind its u32 little-endian length`,
    query: WAIT,
    body: {
      "application/octet-stream": {},
      "application/json": {
        type: "object",
        required: ["payloads"],
        properties: { payloads: { type: "array", items: BASE64, maxItems: BATCH_PAYLOADS_MAX } },
      },
    },
    answers: { 200: "Receipts", 202: "Receipts" },
    problems: [...SUBMIT_PROBLEMS, "batch-too-large", "unsupported-media-type"],
    handle: postBatch,
  },
  {
    method: "GET",
    path: "/v1/vertices/{hash}",
    summary: "One vertex, final or waiting",
    query: WAIT,
    answers: { 200: "Vertex" },
    problems: ["malformed", "unknown-vertex", "timeout"],
    handle: getVertex,
  },
  {
    method: "GET",
    path: "/v1/vertices/{hash}/proof",
    summary: "A proof that a vertex is final, for those who trust no node (docs/light-client.md)",
    answers: { 200: "FinalityProof" },
    problems: ["malformed", "unknown-vertex", "not-provable", "not-ready"],
    handle: getProof,
  },
  {
    method: "GET",
    path: "/v1/epochs",
    summary: "How epochs ended, signed by a quorum of each, with the validators of the next; one page",
    query: [{ name: "from", description: "the first epoch", schema: { type: "integer", minimum: 0, default: 0 } }],
    answers: { 200: "EpochLinks" },
    problems: ["malformed", "not-provable"],
    handle: getEpochs,
  },
  {
    method: "GET",
    path: "/v1/finalized",
    summary: "The total order, ascending, from a sequence on (inclusive)",
    query: [
      { name: "from", description: "the first sequence", schema: { type: "integer", minimum: 1, default: 1 } },
      {
        name: "limit",
        description: "the most items",
        schema: { type: "integer", minimum: 1, maximum: PAGE_ITEMS_MAX, default: PAGE_ITEMS_DEFAULT },
      },
    ],
    answers: { 200: "FinalizedPage" },
    problems: ["malformed", "too-old"],
    handle: getFinalized,
  },
  ...LEDGER_ROUTES,
  ...APPLICATION_ROUTES,
  ...KV_ROUTES,
  {
    method: "GET",
    path: "/v1/status",
    summary: "Where this node stands",
    answers: { 200: "Status" },
    problems: [],
    handle: getStatus,
  },
  {
    method: "GET",
    path: "/v1/peers",
    summary: "Authenticated peers with this node's score of each, and peers that are away but banned or marked",
    answers: { 200: "Peers" },
    problems: [],
    handle: getPeers,
  },
  {
    method: "POST",
    path: "/v1/peers/{nodeId}/ban",
    summary:
      "Ban a peer at this node: disconnected at once, refused until the ban ends. A banned validator stays in the set, but its votes are not heard here",
    body: {
      "application/json": {
        type: "object",
        properties: {
          seconds: {
            type: "integer",
            minimum: 1,
            maximum: BAN_SECONDS_MAX,
            description: "absent: until it is lifted",
          },
          reason: { type: "string", maxLength: BAN_REASON_CHARS_MAX },
        },
      },
    },
    answers: { 200: "PeerReport" },
    problems: ["malformed", "not-found", "unsupported-media-type"],
    handle: postBan,
  },
  {
    method: "POST",
    path: "/v1/peers/{nodeId}/unban",
    summary: "End a peer's ban and make its score whole",
    body: { "application/json": { type: "object" } },
    answers: { 200: "PeerReport" },
    problems: ["malformed", "not-found", "unsupported-media-type"],
    handle: postUnban,
  },
  {
    method: "GET",
    path: "/v1/validators",
    summary: "The validator set",
    answers: { 200: "Validators" },
    problems: [],
    handle: getValidators,
  },
  {
    method: "GET",
    path: "/v1/membership",
    summary: "The ordered state of the validator set: epoch, policy, every member with its standing, pending approvals",
    answers: { 200: "Membership" },
    problems: [],
    handle: getMembership,
  },
  {
    method: "POST",
    path: "/v1/validators/admit",
    summary: "Approve, as this validator, that a node becomes a validator. Answered when the approval is ordered",
    body: {
      "application/json": {
        type: "object",
        required: ["name", "address", "mlDsa87"],
        properties: {
          nodeId: { type: "string", description: "optional; checked against the keys" },
          name: { type: "string" },
          address: { type: "string", description: "host:port of its QUIC socket" },
          mlDsa87: BASE64,
          ed25519: { type: ["string", "null"], contentEncoding: "base64" },
        },
      },
    },
    answers: { 200: "Proposal" },
    problems: [...CHANGE_PROBLEMS, "malformed-candidate"],
    handle: postAdmit,
  },
  {
    method: "POST",
    path: "/v1/validators/dismiss",
    summary: "Approve, as this validator, that a validator loses its place. Answered when the approval is ordered",
    body: {
      "application/json": {
        type: "object",
        required: ["nodeId"],
        properties: { nodeId: { type: "string" }, waitForSuccessor: WAIT_FOR_SUCCESSOR },
      },
    },
    answers: { 200: "Proposal" },
    problems: [...CHANGE_PROBLEMS, "unknown-validator", "at-minimum"],
    handle: postDismiss,
  },
  {
    method: "POST",
    path: "/v1/validators/leave",
    summary: "This validator gives its place up. Answered when that is ordered",
    body: { "application/json": { type: "object", properties: { waitForSuccessor: WAIT_FOR_SUCCESSOR } } },
    answers: { 200: "Proposal" },
    problems: [...CHANGE_PROBLEMS, "at-minimum"],
    handle: postLeave,
  },
  {
    method: "GET",
    path: "/health",
    summary: "200 while the process lives",
    answers: { 200: "Health" },
    problems: [],
    handle: getHealth,
  },
  {
    method: "GET",
    path: "/ready",
    summary: "200 only while this node can finalize",
    answers: { 200: "Readiness" },
    problems: ["not-ready"],
    handle: getReady,
  },
];
