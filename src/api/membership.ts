import { type NodeId, nodeIdOf } from "../crypto/identity.ts";
import { isHash } from "../lib/hash.ts";
import type { ProposedChange } from "../node/service.ts";
import { base64Bytes, readObject } from "./bodies.ts";
import { type Call, json } from "./handlers.ts";
import { ApiProblem } from "./problem.ts";

/** The ordered state of the validator set. */
export function getMembership({ service }: Call): Response {
  return json(service.membership());
}

export async function postAdmit({ service, request }: Call): Promise<Response> {
  const body = await readObject(request, ["nodeId", "name", "address", "mlDsa87", "ed25519"]);
  const second = body["ed25519"] ?? null;
  const publicKeys = {
    mlDsa: base64Bytes(body["mlDsa87"], "mlDsa87"),
    ed25519: second === null ? null : base64Bytes(second, "ed25519"),
  };
  const nodeId = nodeIdOf(publicKeys);
  const claimed = body["nodeId"] ?? nodeId;
  if (claimed !== nodeId) {
    throw new ApiProblem("malformed-candidate", `nodeId is not that of these keys, which make ${nodeId}`);
  }
  const candidate = { nodeId, publicKeys, name: textOf(body, "name"), address: textOf(body, "address") };
  return json(await service.propose({ kind: "admit", candidate }));
}

export async function postDismiss({ service, request }: Call): Promise<Response> {
  const body = await readObject(request, ["nodeId", "waitForSuccessor"]);
  const nodeId = textOf(body, "nodeId");
  if (!isHash(nodeId)) throw new ApiProblem("malformed", "nodeId is 64 lower-case hexadecimal digits");
  const change: ProposedChange = { kind: "dismiss", nodeId: nodeId as string as NodeId, waitForSuccessor: waits(body) };
  return json(await service.propose(change));
}

export async function postLeave({ service, request }: Call): Promise<Response> {
  const body = await readObject(request, ["waitForSuccessor"]);
  return json(await service.propose({ kind: "leave", waitForSuccessor: waits(body) }));
}

function waits(body: Readonly<Record<string, unknown>>): boolean {
  const value = body["waitForSuccessor"] ?? false;
  if (typeof value === "boolean") return value;
  throw new ApiProblem("malformed", "waitForSuccessor must be true or false");
}

/** Well-formed Unicode: a lone surrogate has no bytes that all nodes would agree on. */
function textOf(body: Readonly<Record<string, unknown>>, member: string): string {
  const value = body[member];
  if (typeof value === "string" && value.isWellFormed()) return value;
  throw new ApiProblem("malformed", `${member} must be a text`);
}
