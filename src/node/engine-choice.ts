import { type AvalancheParams, deriveParams, paramsFault } from "../consensus/avalanche/params.ts";
import type { NodeConfig } from "./config.ts";
import type { Genesis } from "./genesis.ts";
import { applicationFault } from "./genesis-application.ts";

const PPM = 1_000_000;

/**
 * Why a node with this configuration cannot run in this network, as far as engine and application go; null where it can.
 * The genesis decides both: they are the same at every node, and part of the network's name.
 */
export function choiceFault(config: NodeConfig, genesis: Genesis): string | null {
  const wanted = config.consensus.algorithm === "bft" ? "pbft" : config.consensus.algorithm;
  if (wanted !== null && wanted !== genesis.engine) {
    return `consensus.algorithm is "${wanted}", the network's genesis file says "${genesis.engine}": leave the key out, or name another genesis`;
  }
  const fault = applicationFault(genesis.engine, genesis.application);
  if (fault !== null) return fault;
  return genesis.engine === "avalanche" ? samplingFault(config, genesis.validators.length) : null;
}

/**
 * What this node samples with: the network's defaults for so many validators, and what its configuration says instead.
 * Agreement does not depend on these, so nodes may differ. Checked by `choiceFault`.
 */
export function avalancheParamsOf(config: NodeConfig, nodes: number): AvalancheParams {
  return deriveParams(nodes, overridesOf(config));
}

function samplingFault(config: NodeConfig, nodes: number): string | null {
  const { min_network_size: least } = config.consensus;
  if (least !== null && nodes < least) {
    return `the network has ${nodes} validators, consensus.min_network_size wants ${least} or more`;
  }
  const fault = paramsFault(nodes, avalancheParamsOf(config, nodes));
  return fault === null ? null : `[consensus] in ${config.file}: ${withKeys(fault)}`;
}

/** The configuration's names of the engine's parameters. */
const KEY_OF: Readonly<Record<keyof AvalancheParams, keyof NodeConfig["consensus"]>> = {
  sampleSize: "sample_size",
  preferenceThreshold: "alpha_preference",
  confidenceThreshold: "alpha_threshold",
  beta: "beta_threshold",
  earlyBeta: "early_beta_threshold",
  finalizationPpm: "finalization_threshold",
  maxRounds: "max_rounds",
  minNetworkSize: "min_network_size",
  concurrentPolls: "concurrent_polls",
  queryTimeoutMs: "query_timeout_ms",
  patienceMs: "patience_ms",
  resolveAfterMs: "resolve_after_ms",
};

function withKeys(fault: string): string {
  const names = new Map<string, string>(Object.entries(KEY_OF));
  return fault.replaceAll(/[A-Za-z]+/g, (word) => names.get(word) ?? word);
}

function overridesOf({ consensus }: NodeConfig): Partial<AvalancheParams> {
  const threshold = consensus.finalization_threshold;
  const given: Readonly<Record<keyof AvalancheParams, number | null>> = {
    sampleSize: consensus.sample_size,
    preferenceThreshold: consensus.alpha_preference,
    confidenceThreshold: consensus.alpha_threshold,
    beta: consensus.beta_threshold,
    earlyBeta: consensus.early_beta_threshold,
    finalizationPpm: threshold === null ? null : Math.round(threshold * PPM),
    maxRounds: consensus.max_rounds,
    minNetworkSize: consensus.min_network_size,
    concurrentPolls: consensus.concurrent_polls,
    queryTimeoutMs: consensus.query_timeout_ms,
    patienceMs: consensus.patience_ms,
    resolveAfterMs: consensus.resolve_after_ms,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
}
