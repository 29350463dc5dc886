import { describe, expect, test } from "bun:test";
import { keyPairFromSeeds } from "../crypto/key-pair.ts";
import { type NodeConfig, parseConfig } from "./config.ts";
import { avalancheParamsOf, choiceFault } from "./engine-choice.ts";
import type { Genesis } from "./genesis.ts";

function genesisOf(size: number, others: Partial<Genesis> = {}): Genesis {
  const pair = keyPairFromSeeds({ mlDsaSeed: new Uint8Array(32), ed25519Seed: null });
  return {
    network: "n",
    createdAt: "2026-01-31T12:00:00Z",
    engine: "avalanche",
    hybrid: false,
    policy: { min: 1, max: 100 },
    // Only their number counts here.
    validators: Array.from({ length: size }, (_, index) => ({
      name: `node-${index + 1}`,
      nodeId: pair.nodeId,
      publicKeys: pair.publicKeys,
      address: "h:1",
    })),
    ...others,
  };
}

function configOf(consensus: string): NodeConfig {
  return parseConfig(`[consensus]\n${consensus}`, "/etc/node.toml");
}

describe("the engine", () => {
  test("is the genesis file's, whatever the configuration leaves out or repeats", () => {
    expect(choiceFault(configOf(""), genesisOf(4))).toBeNull();
    expect(choiceFault(configOf('algorithm = "avalanche"'), genesisOf(4))).toBeNull();
    expect(choiceFault(configOf(""), genesisOf(4, { engine: "pbft" }))).toBeNull();
    expect(choiceFault(configOf('algorithm = "bft"'), genesisOf(4, { engine: "pbft" }))).toBeNull();
  });

  test("is refused where the configuration names another", () => {
    const fault = choiceFault(configOf('algorithm = "pbft"'), genesisOf(4));
    expect(fault).toContain('consensus.algorithm is "pbft", the network\'s genesis file says "avalanche"');
    expect(choiceFault(configOf('algorithm = "avalanche"'), genesisOf(4, { engine: "pbft" }))).not.toBeNull();
  });
});

describe("the application", () => {
  test("key-value is refused on avalanche with the reason and the engine to use, and runs on that", () => {
    const avalanche = choiceFault(configOf(""), genesisOf(4, { application: "key-value" }));
    expect(avalanche).toContain("needs a total order of all commands, and avalanche orders only what conflicts");
    expect(avalanche).toContain("Its engine is pbft");
    for (const application of ["key-value", "custom"] as const)
      expect(choiceFault(configOf(""), genesisOf(4, { engine: "pbft", application }))).toBeNull();
  });

  test("ledger and log run on both", () => {
    for (const engine of ["pbft", "avalanche"] as const)
      for (const application of ["log", "ledger"] as const)
        expect(choiceFault(configOf(""), genesisOf(4, { engine, application }))).toBeNull();
  });
});

describe("what a node samples with", () => {
  test("follows from the network's size where nothing is said", () => {
    expect(avalancheParamsOf(configOf(""), 4)).toMatchObject({ sampleSize: 4, confidenceThreshold: 3 });
    expect(avalancheParamsOf(configOf(""), 200)).toMatchObject({ sampleSize: 40, confidenceThreshold: 32 });
  });

  test("is what is said, the threshold in parts per million", () => {
    const config = configOf(
      "sample_size = 20\nalpha_threshold = 15\nalpha_preference = 12\nbeta_threshold = 5\nearly_beta_threshold = 3\nfinalization_threshold = 0.9\n" +
        "max_rounds = 77\nmin_network_size = 50\nconcurrent_polls = 2\nquery_timeout_ms = 300\npatience_ms = 400\nresolve_after_ms = 900",
    );
    expect(choiceFault(config, genesisOf(100))).toBeNull();
    expect(avalancheParamsOf(config, 100)).toEqual({
      sampleSize: 20,
      confidenceThreshold: 15,
      preferenceThreshold: 12,
      beta: 5,
      earlyBeta: 3,
      finalizationPpm: 900_000,
      maxRounds: 77,
      minNetworkSize: 50,
      concurrentPolls: 2,
      queryTimeoutMs: 300,
      patienceMs: 400,
      resolveAfterMs: 900,
    });
  });

  test.each([
    ["sample_size = 5", "sample_size is 5", "at most the 4 validators"],
    ["alpha_threshold = 2", "alpha_threshold is 2", "more than half of sample_size"],
    ["alpha_threshold = 3\nalpha_preference = 4", "alpha_preference is 4", "at most alpha_threshold"],
    ["max_rounds = 10", "beta_threshold is 20", "at most max_rounds"],
    ["beta_threshold = 9\nearly_beta_threshold = 10", "early_beta_threshold is 10", "at most beta_threshold"],
    ["patience_ms = 9000", "resolve_after_ms is 6000", "more than patience_ms"],
    ["min_network_size = 5", "min_network_size wants 5", "the network has 4 validators"],
  ])("is refused in the words of the configuration: %s", (toml, what, why) => {
    const fault = choiceFault(configOf(toml), genesisOf(4));
    expect(fault).toContain(what);
    expect(fault).toContain(why);
  });
});
