import { describe, expect, test } from "bun:test";
import { generateKeyPair } from "../crypto/key-pair.ts";
import { formatGenesis, type Genesis, genesisHash, parseGenesis } from "./genesis.ts";
import { HOTSTUFF_DEFAULTS } from "./genesis-hotstuff.ts";

const pair = generateKeyPair({ hybrid: true });

function genesisOf(changes: Partial<Genesis> = {}): Genesis {
  return {
    network: "test",
    createdAt: "2026-01-31T12:00:00Z",
    engine: "hotstuff",
    hybrid: true,
    policy: { min: 1, max: 10 },
    validators: [{ name: "a", nodeId: pair.nodeId, publicKeys: pair.publicKeys, address: "127.0.0.1:9000" }],
    ...changes,
  };
}

function textWith(changes: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...(JSON.parse(formatGenesis(genesisOf())) as object), ...changes });
}

describe("how a network runs HotStuff", () => {
  test("is in the genesis and in its hash; what is the default need not be said", () => {
    const plain = genesisOf();
    const fast = genesisOf({ hotstuff: { ...HOTSTUFF_DEFAULTS, phases: 2, voteRoute: "all" } });
    expect(parseGenesis(formatGenesis(fast)).hotstuff).toEqual({ ...HOTSTUFF_DEFAULTS, phases: 2, voteRoute: "all" });
    const elected = genesisOf({ hotstuff: { ...HOTSTUFF_DEFAULTS, leaders: "reputation" } });
    expect(parseGenesis(formatGenesis(elected)).hotstuff?.leaders).toBe("reputation");
    expect(new Set([plain, fast, elected].map((genesis) => genesisHash(genesis))).size).toBe(3);
    expect(genesisHash(fast)).not.toBe(genesisHash(plain));
    expect(genesisHash(genesisOf({ hotstuff: { ...HOTSTUFF_DEFAULTS, phases: 2 } }))).not.toBe(genesisHash(fast));
    expect(genesisHash(genesisOf({ hotstuff: HOTSTUFF_DEFAULTS }))).toBe(genesisHash(plain));
    expect(formatGenesis(plain)).not.toContain('"hotstuff": {');
    expect(parseGenesis(textWith({ hotstuff: { phases: 2 } })).hotstuff).toEqual({ ...HOTSTUFF_DEFAULTS, phases: 2 });
  });

  test("is refused where it is no such thing, with what belongs there", () => {
    expect(() => parseGenesis(textWith({ hotstuff: { phases: 4 } }))).toThrow("hotstuff.phases must be 3 or 2");
    expect(() => parseGenesis(textWith({ hotstuff: { vote_route: "some" } }))).toThrow('"leader" or "all"');
    expect(() => parseGenesis(textWith({ hotstuff: { leaders: "me" } }))).toThrow('"round-robin" or "reputation"');
    expect(() => parseGenesis(textWith({ hotstuff: { phase: 2 } }))).toThrow('no field "phase"');
    expect(() => parseGenesis(textWith({ hotstuff: 2 }))).toThrow("hotstuff must be an object");
    expect(() => parseGenesis(textWith({ engine: "pbft", hotstuff: { phases: 2 } }))).toThrow("belongs to engine");
  });
});
