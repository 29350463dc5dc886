import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { connect } from "../../src/client/main.ts";
import { decode } from "../../src/codec/codec.ts";
import { encodeLink, type EpochLink, epochLinkCodec } from "../../src/light/epochs.ts";
import { decodeProof, encodeProof } from "../../src/light/finality-proof.ts";
import type { LightErrorCode } from "../../src/light/light-error.ts";
import type { OrderedProof } from "../../src/light/ordered-proof.ts";
import { run } from "../cli/command.ts";
import { ask, GrowingCluster } from "./growing-cluster.ts";
import { type Forge, instead, through as throughOne } from "./lying-proxy.ts";
import { payloads, submit } from "./real-cluster.ts";

const TEST_MS = 150_000;

let cluster: GrowingCluster;
let genesis = "";
/** Final in epoch 0, and in epoch 1. */
let early = "";
let late = "";

beforeAll(async () => {
  cluster = await GrowingCluster.create(4, { min: 3, max: 7 });
  await cluster.start(cluster.nodes);
  genesis = join(dirname(cluster.configs[0] ?? ""), "genesis.json");
  [early = ""] = await submit(cluster.node(0), payloads("early", 5), true);
}, TEST_MS);

afterAll(async () => {
  await cluster.stop();
}, 30_000);

async function verify(
  hash: string,
  url: string = cluster.node(1).apiUrl,
  file: string = genesis,
): ReturnType<typeof run> {
  return await run(["verify", hash, "--genesis", file, "--url", url]);
}

async function through<T>(forge: Forge, use: (url: string) => Promise<T>): Promise<T> {
  return await throughOne(cluster.node(1).apiUrl, forge, use);
}

function withProof(change: (proof: OrderedProof) => OrderedProof): Forge {
  return (path, body) => {
    if (!path.endsWith("/proof")) return body;
    const proof = decodeProof(Uint8Array.fromBase64(String(body["proof"])));
    if (proof.kind !== "ordered") throw new Error("a proof of order");
    return { ...body, proof: encodeProof(change(proof)).toBase64() };
  };
}

function flipped(hash: string): string {
  return (hash.startsWith("0") ? "1" : "0") + hash.slice(1);
}

/** Every part of a proof, changed. */
const FORGERIES: Readonly<Record<string, (proof: OrderedProof) => OrderedProof>> = {
  "the payload": (proof) => ({ ...proof, vertex: { ...proof.vertex, payload: new TextEncoder().encode("mine") } }),
  "the creator": (proof) => {
    const { header } = proof.vertex;
    return {
      ...proof,
      vertex: { ...proof.vertex, header: { ...header, creator: (3 - header.creator) as typeof header.creator } },
    };
  },
  "the vertex's place in its bundle": (proof) => ({
    ...proof,
    vertex: { ...proof.vertex, index: proof.vertex.index ^ 1 },
  }),
  "the path in its bundle": (proof) => ({
    ...proof,
    vertex: { ...proof.vertex, path: proof.vertex.path.toReversed() },
  }),
  "the term": (proof) => {
    const { header } = proof.vertex;
    return {
      ...proof,
      vertex: { ...proof.vertex, header: { ...header, term: (header.term + 1) as typeof header.term } },
    };
  },
  "the position": (proof) => ({ ...proof, firstPosition: (proof.firstPosition + 1) as typeof proof.firstPosition }),
  "the batch": (proof) => ({ ...proof, batch: flipped(proof.batch) as typeof proof.batch }),
  "the history before": (proof) => ({ ...proof, historyBefore: flipped(proof.historyBefore) as typeof proof.batch }),
  "the place in the log": (proof) => ({
    ...proof,
    links: [...proof.links, { batch: proof.batch, executed: proof.batch }],
  }),
  "the state": (proof) => {
    const state = proof.certificate.state.slice();
    state[20] = (state[20] ?? 0) ^ 1;
    return { ...proof, certificate: { ...proof.certificate, state } };
  },
  "the epoch": (proof) => {
    const epoch = (proof.certificate.epoch + 1) as typeof proof.certificate.epoch;
    return { ...proof, certificate: { ...proof.certificate, epoch } };
  },
  "what was signed": (proof) => {
    const phase = proof.certificate.phase === "executed" ? "checkpoint" : "executed";
    return { ...proof, certificate: { ...proof.certificate, phase } };
  },
  "a signature": (proof) => {
    const [first, ...rest] = proof.certificate.proofs;
    if (first === undefined) return proof;
    const mlDsa = first.seal.signature.mlDsa.slice();
    mlDsa[100] = (mlDsa[100] ?? 0) ^ 1;
    const seal = { ...first.seal, signature: { ...first.seal.signature, mlDsa } };
    return { ...proof, certificate: { ...proof.certificate, proofs: [{ ...first, seal }, ...rest] } };
  },
  "the classical signature": (proof) => {
    const [first, ...rest] = proof.certificate.proofs;
    if (first === undefined) return proof;
    const ed25519 = first.seal.signature.ed25519?.slice() ?? null;
    if (ed25519 !== null) ed25519[10] = (ed25519[10] ?? 0) ^ 1;
    const seal = { ...first.seal, signature: { ...first.seal.signature, ed25519 } };
    return { ...proof, certificate: { ...proof.certificate, proofs: [{ ...first, seal }, ...rest] } };
  },
  "one signer fewer": (proof) => ({
    ...proof,
    certificate: { ...proof.certificate, proofs: proof.certificate.proofs.slice(1) },
  }),
  "one signer twice": (proof) => {
    const [first, , ...rest] = proof.certificate.proofs;
    if (first === undefined) return proof;
    return { ...proof, certificate: { ...proof.certificate, proofs: [first, first, ...rest] } };
  },
};

/** Why each is refused. */
const REASONS: Readonly<Record<string, LightErrorCode>> = {
  "the payload": "wrong-vertex",
  "the creator": "wrong-vertex",
  "the vertex's place in its bundle": "wrong-vertex",
  "the path in its bundle": "not-proved",
  "the term": "not-proved",
  "the position": "not-proved",
  "the batch": "not-proved",
  "the history before": "not-proved",
  "the place in the log": "not-proved",
  "the state": "bad-signature",
  "the epoch": "wrong-epoch",
  "what was signed": "bad-signature",
  "a signature": "bad-signature",
  "the classical signature": "bad-signature",
  "one signer fewer": "no-quorum",
  "one signer twice": "no-quorum",
};

describe("who trusts the genesis file and no node", () => {
  test(
    "proves a vertex that has just become final, by any node",
    async () => {
      for (const node of cluster.nodes) {
        const { code, stdout, stderr } = await verify(early, node.apiUrl);
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        expect(stdout).toContain(`${early} is final`);
        expect(stdout).toContain("payload\t7 bytes: early-0");
        expect(stdout).toContain("by 3 of the 4 validators of epoch 0 (3 are needed)");
      }
    },
    TEST_MS,
  );

  test.each(Object.entries(FORGERIES))("refuses a proof in which %s was changed", async (what, forge) => {
    const { code, stdout, stderr } = await through(withProof(forge), (url) => verify(early, url));
    expect(stderr).toContain(`NOT proved (${REASONS[what]})`);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });

  test("is not shown another vertex in the place of the one that it asks for", async () => {
    const [other = ""] = await submit(cluster.node(0), payloads("other", 1), true);
    const proof = await ask<object>(cluster.node(0), `/v1/vertices/${other}/proof`);
    const swapped = await through(
      (path, body) => (path.endsWith("/proof") ? proof : body),
      (url) => verify(early, url),
    );
    expect(swapped.stderr).toContain("wrong-vertex");
    expect(swapped.code).toBe(1);
  });

  test("refuses a network with the same validators and another genesis", async () => {
    const file = join(cluster.folder, "other-genesis.json");
    const text = JSON.parse(readFileSync(genesis, "utf8")) as object;
    writeFileSync(file, JSON.stringify({ ...text, network: "another" }));
    const { code, stderr } = await verify(early, cluster.node(0).apiUrl, file);
    expect(stderr).toContain("bad-signature");
    expect(stderr).toContain("is it the right file?");
    expect(code).toBe(1);
    expect((await verify(early, cluster.node(0).apiUrl, `${file}.missing`)).code).toBe(2);
  });

  test("knows nothing of a hash that no vertex has", async () => {
    const { code, stderr } = await verify("ab".repeat(32));
    expect(stderr).toContain("404");
    expect(code).toBe(1);
  });
});

describe("when the validators change", () => {
  test(
    "the change is followed by the words of those who were validators before",
    async () => {
      const fifth = await cluster.addObserver("node-5");
      fifth.start();
      await fifth.whenAnswering(30_000);
      await cluster.admit(4, [0, 1, 2]);
      await cluster.whenEpoch(1, cluster.nodes);
      [late = ""] = await submit(cluster.node(2), payloads("late", 3), true);
      const epochs = await cluster.eventually("the end of epoch 0 is proved at every node", async () => {
        const pages = await Promise.all(
          cluster.nodes.map((node) => ask<{ links: string[] }>(node, "/v1/epochs?from=0")),
        );
        return pages.every(({ links }) => links.length === 1) ? pages : null;
      });
      expect(epochs).toHaveLength(5);
      for (const node of cluster.nodes) {
        const { code, stdout, stderr } = await verify(late, node.apiUrl);
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        expect(stdout).toContain("of the 5 validators of epoch 1 (4 are needed)");
      }
      const before = await verify(early);
      expect(before.code).toBe(0);
    },
    TEST_MS,
  );

  test("a link that was changed in any part is refused", async () => {
    const forgeries: Readonly<Record<string, (link: EpochLink) => EpochLink>> = {
      validators: (link) => {
        const membership = link.membership.slice();
        membership[200] = (membership[200] ?? 0) ^ 1;
        return { ...link, membership };
      },
      signers: (link) => ({ ...link, certificate: { ...link.certificate, proofs: link.certificate.proofs.slice(1) } }),
      state: (link) => {
        const state = link.certificate.state.slice();
        state[16] = (state[16] ?? 0) ^ 1;
        return { ...link, certificate: { ...link.certificate, state } };
      },
    };
    for (const forge of Object.values(forgeries)) {
      const change = (path: string, body: Readonly<Record<string, unknown>>): object => {
        if (path !== "/v1/epochs") return body;
        const links = (body["links"] as string[]).map((link) => encodeLink(forge(linkOf(link))).toBase64());
        return { ...body, links };
      };
      const { code, stderr } = await through(change, (url) => verify(late, url));
      expect(stderr).toContain("NOT proved");
      expect(code).toBe(1);
    }
  });

  test("a node that keeps the links to itself proves nothing", async () => {
    const hide = (path: string, body: Readonly<Record<string, unknown>>): object =>
      path === "/v1/epochs" ? { ...body, links: [] } : body;
    const { code, stderr } = await through(hide, (url) => verify(late, url));
    expect(stderr).toContain("wrong-epoch");
    expect(code).toBe(1);
  });

  test(
    "the client library follows it as well, passes a liar over, and keeps what it came to",
    async () => {
      const file = join(cluster.folder, "trusted.bin");
      const at0 = join(cluster.folder, "trusted-0.bin");
      await through(
        (path, body) => (path === "/v1/epochs" ? { ...body, links: [] } : body),
        (url) => cluster.say("verify", "--genesis", genesis, "--write-trusted", at0, "--url", url),
      );
      await cluster.say("verify", "--genesis", genesis, "--write-trusted", file, "--url", cluster.node(0).apiUrl);
      const trusted = Uint8Array.from(readFileSync(at0));
      const forge = withProof((proof) => ({ ...proof, firstPosition: 999 as typeof proof.firstPosition }));
      await through(forge, async (liar) => {
        const client = connect({ nodes: [liar, cluster.node(3).apiUrl], trusted });
        const vertex = await client.verified(late);
        expect(new TextDecoder().decode(vertex.payload)).toBe("late-0");
        expect(vertex).toMatchObject({ hash: late, epoch: 1, quorum: 4 });
        expect(client.trusted).toEqual(Uint8Array.from(readFileSync(file)));
        client.close();
        const alone = connect({ nodes: [liar], trusted });
        expect(await alone.verified(late).catch((error: { code: string }) => error.code)).toBe("not-proved");
        alone.close();
      });
      const twice = connect({ nodes: [cluster.node(3).apiUrl], trusted });
      const [one, other] = await Promise.all([late, late].map((hash) => twice.verified(hash)));
      expect(other).toEqual(one);
      twice.close();
      // Whoever has no proof is passed over as well, whatever its reason: another one was there.
      for (const [kind, status] of [["not-provable", 409] as const, ["unknown-vertex", 404] as const]) {
        const refuse = (): Response => Response.json({ type: `/problems/${kind}`, title: kind, status }, { status });
        await instead(refuse, async (without) => {
          const both = connect({ nodes: [without, cluster.node(2).apiUrl], trusted });
          for (const hash of [early, late]) expect(await both.verified(hash)).toMatchObject({ hash });
          both.close();
          const alone = connect({ nodes: [without], trusted });
          expect(await alone.verified(late).catch((error: { code: string }) => error.code)).toBe(kind);
          alone.close();
        });
      }
      const kept = connect({ nodes: [cluster.node(4).apiUrl], trusted: Uint8Array.from(readFileSync(file)) });
      expect((await kept.verified(early)).epoch).toBeLessThanOrEqual(1);
      kept.close();
    },
    TEST_MS,
  );
});

describe("a network of HotStuff", () => {
  test(
    "is proved and followed in the same way",
    async () => {
      const other = await GrowingCluster.create(4, { min: 3, max: 7 }, true, "hotstuff");
      try {
        await other.start(other.nodes);
        const trust = ["--genesis", join(dirname(other.configs[0] ?? ""), "genesis.json")];
        const [before = ""] = await submit(other.node(0), payloads("before", 40), true);
        expect(await other.say("verify", before, ...trust, "--url", other.node(0).apiUrl)).toContain("of epoch 0");
        await other.say("validators", "leave", "--url", other.node(3).apiUrl);
        await other.whenEpoch(1, other.nodes);
        const [after = ""] = await submit(other.node(0), payloads("after", 1), true);
        const words = await other.eventually("a proof by epoch 1", async () => {
          const { code, stdout } = await run(["verify", after, ...trust, "--url", other.node(0).apiUrl]);
          return code === 0 ? stdout : null;
        });
        expect(words).toContain("of the 3 validators of epoch 1 (2 are needed)");
      } finally {
        await other.stop();
      }
    },
    TEST_MS,
  );
});

function linkOf(base64: string): EpochLink {
  return decode(epochLinkCodec, Uint8Array.fromBase64(base64));
}
