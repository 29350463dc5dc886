import { isHash } from "../lib/hash.ts";
import type { ProofService } from "../node/service.ts";
import { type Call, json, numberOf } from "./handlers.ts";
import { ApiProblem } from "./problem.ts";

/** `proof`: what `verifyProof` of `src/light` reads. */
export async function getProof(call: Call): Promise<Response> {
  const { parameter: hash, service } = call;
  if (!isHash(hash)) throw new ApiProblem("malformed", "a hash is 64 lower-case hexadecimal digits");
  const proof = await proofsOf(call).proof(hash);
  if (proof !== null) return json({ hash, proof: proof.toBase64() });
  const vertex = await service.vertex(hash);
  if (vertex === null) throw new ApiProblem("unknown-vertex", `no vertex ${hash} is known at this node`);
  // Also where it became final while this was looked up.
  throw new ApiProblem("not-ready", `vertex ${hash} is not final here yet`, { retryAfterMs: 1_000 });
}

/** `links`: what `followEpochs` of `src/light` reads. */
export async function getEpochs(call: Call): Promise<Response> {
  const from = numberOf(call.query, "from", { min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 0 });
  const links = await proofsOf(call).epochLinks(from);
  return json({ from, epoch: call.service.status().epoch, links: links.map((link) => link.toBase64()) });
}

function proofsOf({ proofs }: Call): ProofService {
  if (proofs === null) throw new ApiProblem("not-provable", "this node shows no proofs");
  return proofs;
}
