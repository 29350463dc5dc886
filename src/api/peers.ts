import { isHash } from "../lib/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { PeerControl, PeerReport } from "../node/service.ts";
import { parseJson, readBody, requireJson } from "./bodies.ts";
import { type Call, json } from "./handlers.ts";
import { BAN_REASON_CHARS_MAX, BAN_SECONDS_MAX } from "./limits.ts";
import { ApiProblem } from "./problem.ts";

/** The connected peers, and those that are away but banned or marked. */
export function getPeers({ service, peerControl }: Call): Response {
  const connected = new Map(service.peers().map((peer) => [peer.nodeId, peer]));
  if (peerControl === null)
    return json({ items: [...connected.values()].map((peer) => ({ ...peer, connected: true })) });
  const items = peerControl.reports([...connected.keys()]).map((report) => {
    const peer = connected.get(report.nodeId);
    return peer === undefined
      ? { ...ABSENT, ...reportBody(report), connected: false }
      : { ...peer, ...reportBody(report), connected: true };
  });
  return json({ items });
}

/** What is not known of a peer that is away. */
const ABSENT = {
  role: null,
  address: null,
  direction: null,
  connectedSinceMs: null,
  roundTripMs: null,
  bytesSent: 0,
  bytesReceived: 0,
  queuedBytes: 0,
};

export async function postBan(call: Call): Promise<Response> {
  const { peer, control } = subjectOf(call);
  const { seconds, reason } = await readBan(call.request);
  return json(reportBody(await control.ban(peer, { lengthMs: seconds === null ? null : seconds * 1_000, reason })));
}

export async function postUnban(call: Call): Promise<Response> {
  const { peer, control } = subjectOf(call);
  requireJson(call.request);
  return json(reportBody(await control.unban(peer)));
}

function reportBody({ nodeId, score, state, violations, ban }: PeerReport): Readonly<Record<string, unknown>> {
  return { nodeId, score, state, violations, bannedUntil: ban?.untilMs ?? null, ban };
}

function subjectOf({ service, peerControl, parameter }: Call): {
  readonly peer: NodeId;
  readonly control: PeerControl;
} {
  if (!isHash(parameter)) throw new ApiProblem("malformed", "a node id is 64 lower-case hexadecimal digits");
  const peer = parameter as string as NodeId;
  if (peer === service.status().nodeId)
    throw new ApiProblem("malformed", "a node cannot ban itself: this id is its own");
  if (peerControl === null) throw new ApiProblem("not-found", "this node keeps no list of bans");
  return { peer, control: peerControl };
}

async function readBan(request: Request): Promise<{ readonly seconds: number | null; readonly reason: string }> {
  requireJson(request);
  const body = await readBody(request);
  const value = body.length === 0 ? {} : parseJson(body);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiProblem("malformed", 'the body must be an object such as {"seconds": 600, "reason": "maintenance"}');
  }
  const unknown = Object.keys(value).find((key) => key !== "seconds" && key !== "reason");
  if (unknown !== undefined)
    throw new ApiProblem("malformed", `a ban has "seconds" and "reason", not ${JSON.stringify(unknown)}`);
  const seconds: unknown = Reflect.get(value, "seconds") ?? null;
  const reason: unknown = Reflect.get(value, "reason") ?? "by the operator";
  if (
    seconds !== null &&
    (typeof seconds !== "number" || !Number.isInteger(seconds) || seconds < 1 || seconds > BAN_SECONDS_MAX)
  ) {
    throw new ApiProblem(
      "malformed",
      `seconds must be a whole number from 1 to ${BAN_SECONDS_MAX}, or absent: until it is lifted`,
    );
  }
  if (typeof reason !== "string" || reason.length > BAN_REASON_CHARS_MAX) {
    throw new ApiProblem("malformed", `reason must be a text of at most ${BAN_REASON_CHARS_MAX} characters`);
  }
  // It is shown on terminals and in logs.
  if (/\p{Cc}/u.test(reason)) throw new ApiProblem("malformed", "reason must have no control characters");
  return { seconds, reason };
}
