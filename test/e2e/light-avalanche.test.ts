import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { connect } from "../../src/client/main.ts";
import { contentOf } from "../../src/dag/vertex.ts";
import { sealEnvelope } from "../../src/dag/conflict-keys.ts";
import type { AcceptedProof } from "../../src/light/accepted-proof.ts";
import { decodeProof, encodeProof } from "../../src/light/finality-proof.ts";
import type { LightErrorCode } from "../../src/light/light-error.ts";
import { run } from "../cli/command.ts";
import { type Answered, AvalancheCluster, hashOf, propose, vertex, winnerOf } from "./avalanche-cluster.ts";
import { ask } from "./growing-cluster.ts";
import { type Forge, instead, through } from "./lying-proxy.ts";

const TEST_MS = 150_000;

let cluster: AvalancheCluster;
let genesis = "";
/** Final in epoch 0: one that claims nothing, one that won its conflict set, and one that lost it. */
let plain = "";
let winner = "";
let loser = "";

beforeAll(async () => {
  cluster = await AvalancheCluster.create(4, { validatorsMin: 3 });
  await cluster.start();
  genesis = join(dirname(cluster.configs[0] ?? ""), "genesis.json");
  plain = hashOf(await propose(cluster.node(0), "plain", { wait: true }));
  const rivals = await Promise.all(
    [0, 1].map((place) => propose(cluster.node(place), `by ${place}`, { keys: ["seat/17A"], wait: true })),
  );
  winner = winnerOf(rivals);
  loser = await hashOfLoser(rivals);
  await cluster.whenFinal([plain, winner]);
}, TEST_MS);

afterAll(async () => {
  await cluster.stop();
}, 30_000);

/** A refusal has no hash: the node's own vertex is what names it. */
async function hashOfLoser(answers: readonly Answered[]): Promise<string> {
  const { detail = "" } = answers.find(({ status }) => status !== 200)?.body ?? {};
  const named = detail.match(/[0-9a-f]{64}/g) ?? [];
  const lost = named.find((hash) => hash !== winner);
  if (lost === undefined) throw new Error(`a loser in ${detail}`);
  return await cluster.eventually("the loser is rejected everywhere", async () => {
    const seen = await Promise.all(cluster.nodes.map((node) => vertex(node, lost)));
    return seen.every((each) => each?.state === "rejected") ? lost : null;
  });
}

async function verify(
  hash: string,
  url: string = cluster.node(1).apiUrl,
  file: string = genesis,
  ...more: readonly string[]
): ReturnType<typeof run> {
  return await run(["verify", hash, "--genesis", file, "--url", url, ...more]);
}

function withProof(change: (proof: AcceptedProof) => AcceptedProof): Forge {
  return (path, body) => {
    if (!path.endsWith("/proof")) return body;
    const proof = decodeProof(Uint8Array.fromBase64(String(body["proof"])));
    if (proof.kind !== "accepted") throw new Error("a word of acceptance");
    return { ...body, proof: encodeProof(change(proof)).toBase64() };
  };
}

function withVertex(change: (vertex: AcceptedProof["vertex"]) => Partial<AcceptedProof["vertex"]>) {
  return (proof: AcceptedProof): AcceptedProof => ({ ...proof, vertex: { ...proof.vertex, ...change(proof.vertex) } });
}

function withFirst(change: (proof: AcceptedProof["proofs"][number]) => AcceptedProof["proofs"][number]) {
  return (proof: AcceptedProof): AcceptedProof => {
    const [first, ...rest] = proof.proofs;
    return first === undefined ? proof : { ...proof, proofs: [change(first), ...rest] };
  };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const flipped = (from: Uint8Array): Uint8Array => from.map((byte, at) => (at === 10 ? byte ^ 1 : byte));

/** Every part of a proof, changed, and why it is refused. */
const FORGERIES: Readonly<Record<string, readonly [LightErrorCode, (proof: AcceptedProof) => AcceptedProof]>> = {
  "what the client gave": [
    "wrong-vertex",
    withVertex(() => ({ payload: sealEnvelope({ payload: bytes("mine"), conflictKeys: [bytes("seat/17A")] }) })),
  ],
  "what it claims": [
    "wrong-vertex",
    withVertex(() => ({ payload: sealEnvelope({ payload: bytes("by 0"), conflictKeys: [bytes("seat/17B")] }) })),
  ],
  "the creator": ["wrong-vertex", withVertex(({ content }) => ({ creator: content as never }))],
  "the nonce": ["wrong-vertex", withVertex(({ nonce }) => ({ nonce: (nonce + 1) as typeof nonce }))],
  "the time": ["wrong-vertex", withVertex(({ timestampMs }) => ({ timestampMs: timestampMs + 1 }))],
  "the parents": ["wrong-vertex", withVertex(({ content, parents }) => ({ parents: [content, ...parents.slice(1)] }))],
  "a parent fewer": ["malformed", withVertex(({ parents }) => ({ parents: parents.slice(1) }))],
  "the content": ["wrong-vertex", withVertex(() => ({ content: contentOf([bytes("another")]) }))],
  "the epoch": ["wrong-epoch", (proof) => ({ ...proof, epoch: (proof.epoch + 1) as typeof proof.epoch })],
  "a signature": [
    "bad-signature",
    withFirst((first) => {
      const { signature } = first.seal;
      return { ...first, seal: { ...first.seal, signature: { ...signature, mlDsa: flipped(signature.mlDsa) } } };
    }),
  ],
  "the classical signature": [
    "bad-signature",
    withFirst((first) => {
      const { mlDsa, ed25519 } = first.seal.signature;
      const signature = { mlDsa, ed25519: ed25519 === null ? null : flipped(ed25519) };
      return { ...first, seal: { ...first.seal, signature } };
    }),
  ],
  "the number of statements that were signed": [
    "bad-signature",
    withFirst((first) => ({ ...first, seal: { ...first.seal, leafCount: first.seal.leafCount + 1 } })),
  ],
  "one signer fewer": ["no-quorum", (proof) => ({ ...proof, proofs: proof.proofs.slice(1) })],
  "one signer twice": [
    "no-quorum",
    ({ proofs: [first, , ...rest], ...proof }) =>
      first === undefined ? { ...proof, proofs: rest } : { ...proof, proofs: [first, first, ...rest] },
  ],
};

describe("who trusts the genesis file of a leaderless network and no node", () => {
  test(
    "proves what is final, by any node",
    async () => {
      for (const node of cluster.nodes) {
        const { code, stdout, stderr } = await verify(winner, node.apiUrl);
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        expect(stdout).toContain(`${winner} is final`);
        expect(stdout).toContain("claims seat/17A, which no other vertex ever gets");
        expect(stdout).toContain("payload\t4 bytes: by ");
        expect(stdout).toContain("by 3 of the 4 validators of epoch 0 (3 are needed)");
      }
      const { stdout } = await verify(plain, cluster.node(3).apiUrl, genesis, "--json");
      expect(JSON.parse(stdout)).toMatchObject({
        proved: true,
        hash: plain,
        sequence: null,
        conflictKeys: [],
        epoch: 0,
      });
    },
    TEST_MS,
  );

  test.each(Object.entries(FORGERIES))("refuses a proof in which %s was changed", async (_what, [code, forge]) => {
    const said = await through(cluster.node(1).apiUrl, withProof(forge), (url) => verify(winner, url));
    expect(said.stderr).toContain(`NOT proved (${code})`);
    expect({ code: said.code, stdout: said.stdout }).toEqual({ code: 1, stdout: "" });
  });

  test("is not shown the proof of another vertex, nor the words about one with the content of its rival", async () => {
    const honest = cluster.node(1).apiUrl;
    const other = await ask<Record<string, unknown>>(cluster.node(0), `/v1/vertices/${plain}/proof`);
    const swapped = await through(
      honest,
      (path, body) => (path.endsWith("/proof") ? other : body),
      (url) => verify(winner, url),
    );
    expect([swapped.code, swapped.stderr]).toEqual([1, expect.stringContaining("wrong-vertex")]);
    const { proofs } = decodeProof(Uint8Array.fromBase64(String(other["proof"]))) as AcceptedProof;
    const mixed = await through(
      honest,
      withProof((proof) => ({ ...proof, proofs })),
      (url) => verify(winner, url),
    );
    expect([mixed.code, mixed.stderr]).toEqual([1, expect.stringContaining("bad-signature")]);
  });

  test("is told that what lost has no proof, and what won instead", async () => {
    const { code, stdout, stderr } = await verify(loser);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("409");
    expect(stderr).toContain(winner);
  });

  test("refuses a network with the same validators and another genesis", async () => {
    const file = join(cluster.folder, "other-genesis.json");
    writeFileSync(
      file,
      JSON.stringify({ ...(JSON.parse(readFileSync(genesis, "utf8")) as object), network: "another" }),
    );
    const { code, stderr } = await verify(plain, cluster.node(0).apiUrl, file);
    expect([code, stderr]).toEqual([1, expect.stringContaining("NOT proved (wrong-vertex)")]);
  });
});

describe("when nodes come and validators go", () => {
  test(
    "a node that came late proves what was final before it",
    async () => {
      const late = await cluster.addObserver("late");
      late.start();
      await late.whenAnswering(30_000);
      await cluster.whenFinal([plain, winner], [late]);
      const words = await cluster.eventually("a proof by the late one", async () => {
        const { code, stdout } = await verify(winner, late.apiUrl);
        return code === 0 ? stdout : null;
      });
      expect(words).toContain("claims seat/17A");
    },
    TEST_MS,
  );

  test(
    "those who are left prove it, old and new, and the client library follows",
    async () => {
      const trusted = join(cluster.folder, "trusted.bin");
      const url = cluster.node(0).apiUrl;
      expect((await run(["verify", "--genesis", genesis, "--write-trusted", trusted, "--url", url])).code).toBe(0);
      expect((await run(["validators", "leave", "--url", cluster.node(3).apiUrl])).code).toBe(0);
      await cluster.eventually("epoch 1 is proved", async () => {
        const { links } = await ask<{ links: string[] }>(cluster.node(2), "/v1/epochs?from=0");
        return links.length === 1 ? true : null;
      });
      const fresh = hashOf(await propose(cluster.node(0), "fresh", { wait: true }));
      const client = connect({ nodes: [cluster.node(2).apiUrl], trusted: Uint8Array.from(readFileSync(trusted)) });
      expect(await client.verified(fresh)).toMatchObject({ hash: fresh, sequence: null, epoch: 1, quorum: 2 });
      const old = await client.verified(winner);
      expect(old.conflictKeys).toEqual([bytes("seat/17A")]);
      expect(old.signers.length).toBe(old.quorum);
      client.close();
      // Words of epoch 0 under the name of epoch 1 count for nothing.
      const forge = withProof((proof) => ({ ...proof, epoch: 0 as typeof proof.epoch }));
      const forged = await through(cluster.node(2).apiUrl, forge, (liar) => verify(fresh, liar));
      expect([forged.code, forged.stderr]).toEqual([1, expect.stringContaining("NOT proved")]);
    },
    TEST_MS,
  );

  test(
    "the client passes over who has no proof yet, who lies and who is away",
    async () => {
      const trusted = await trustedNow();
      const problem = { type: "/problems/not-ready", title: "not yet", status: 503 };
      const busy = (): Response => Response.json(problem, { status: 503 });
      const forge = withProof(withVertex(() => ({ payload: bytes("mine") })));
      await instead(busy, async (waiting) => {
        await through(cluster.node(1).apiUrl, forge, async (liar) => {
          const nodes = [waiting, liar, "http://127.0.0.1:9", cluster.node(1).apiUrl];
          const client = connect({ nodes, trusted });
          expect(await client.verified(winner)).toMatchObject({ hash: winner, sequence: null });
          client.close();
        });
      });
    },
    TEST_MS,
  );
});

async function trustedNow(): Promise<Uint8Array> {
  const file = join(cluster.folder, "trusted-now.bin");
  await run(["verify", "--genesis", genesis, "--write-trusted", file, "--url", cluster.node(1).apiUrl]);
  return Uint8Array.from(readFileSync(file));
}
