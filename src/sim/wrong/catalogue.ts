import { agreeable, credulous, forgetting, rewriting, suspicious, unfaithful } from "./wrong-engines.ts";
import type { WrongNode } from "./wrong-node.ts";
import { miscounting, withQuorum } from "./wrong-quorums.ts";

export const WRONG_NODES: readonly WrongNode[] = [
  {
    bug: "a quorum of one too few",
    breaks: "two quorums share a correct replica (Castro & Liskov 1999, §3)",
    seeds: 60,
    expects: ["agreement", "state-equality"],
    swarm: { nodes: 4, byzantine: 1, attacks: ["equivocate", "vote-for-everything"] },
    plant: {
      alterParts: (parts) => {
        const { set } = parts.network;
        return { ...parts, network: { ...parts.network, set: withQuorum(set, () => set.quorum - 1) } };
      },
    },
  },
  {
    bug: "a vote that is not durable",
    breaks: "one digest for a view and a sequence, for ever (§4.2; normal-case.ts)",
    seeds: 5,
    expects: ["durable-before-visible"],
    swarm: { nodes: 4, byzantine: 1, attacks: ["equivocate"] },
    plant: { makeEngine: forgetting("accepted/") },
  },
  {
    bug: "a view that is not durable",
    breaks: "who asked for a view says nothing in lower ones (§4.4)",
    seeds: 60,
    expects: ["no-contradiction"],
    swarm: { nodes: 4, byzantine: 0 },
    plant: { makeEngine: forgetting("view") },
  },
  {
    bug: "a prepared certificate that is not durable",
    breaks: "a lock survives a crash (§4.4)",
    seeds: 5,
    expects: ["durable-before-visible"],
    swarm: { nodes: 4, byzantine: 0 },
    plant: { makeEngine: forgetting("prepared/") },
  },
  {
    bug: "a view change without its prepared certificates",
    breaks: "P of §4.4",
    seeds: 60,
    expects: ["lock-respected"],
    swarm: { nodes: 4, byzantine: 0 },
    plant: { makeEngine: rewriting((message) => ({ ...message, prepared: [] })) },
  },
  {
    bug: "a view change without its stable checkpoint",
    breaks: "C of §4.4",
    seeds: 60,
    expects: ["lock-respected"],
    swarm: { nodes: 4, byzantine: 0 },
    plant: { makeEngine: rewriting((message) => ({ ...message, stable: null })) },
  },
  {
    bug: "a new-view message that is believed unchecked",
    breaks: "V proves itself (§4.4)",
    seeds: 100,
    expects: ["agreement", "no-failure"],
    says: /agreement|committed here with another digest than view \d+ assigns/,
    swarm: { nodes: 4, byzantine: 1, attacks: ["forge-new-view"] },
    plant: { makeEngine: credulous },
  },
  {
    bug: "a commit in an abandoned view",
    breaks: "who asked for a view says nothing in lower ones (§4.4)",
    seeds: 60,
    expects: ["no-contradiction"],
    swarm: { nodes: 4, byzantine: 0 },
    plant: { makeEngine: unfaithful },
  },
  {
    bug: "a prepare for every proposal",
    breaks: "one accepted proposal for a view and a sequence (§4.2)",
    seeds: 60,
    expects: ["no-contradiction"],
    swarm: { nodes: 4, byzantine: 1, attacks: ["equivocate"] },
    plant: { makeEngine: agreeable },
  },
  {
    bug: "blame for what comes late or twice",
    breaks: "only what no correct peer sends is a violation (engine.ts, Verdict)",
    seeds: 20,
    expects: ["no-false-blame"],
    swarm: { nodes: 4, byzantine: 0 },
    plant: { makeEngine: suspicious },
  },
  {
    bug: "a prepared certificate of one vote too few",
    breaks: "the predicate prepared (§4.2)",
    seeds: 60,
    expects: ["agreement", "no-false-blame"],
    swarm: { nodes: 4, byzantine: 1, attacks: ["equivocate", "vote-for-everything"] },
    plant: { makeEngine: miscounting(["pre-prepare", "prepare"], (right) => right - 1) },
  },
  {
    bug: "a commit certificate of one vote too few",
    breaks: "the predicate committed (§4.2)",
    seeds: 60,
    expects: ["agreement", "no-false-blame"],
    swarm: { nodes: 4, byzantine: 1, attacks: ["equivocate", "vote-for-everything"] },
    plant: { makeEngine: miscounting(["commit"], (right) => right - 1) },
  },
  {
    bug: "a checkpoint accepted with one vote",
    breaks: "a stable checkpoint has a quorum of equal states (§4.3)",
    seeds: 60,
    expects: ["state-equality", "no-failure", "no-false-blame"],
    says: /state|malformed-certificate|invalid-committed-places/,
    swarm: { nodes: 4, byzantine: 1, attacks: ["wrong-state"] },
    plant: { makeEngine: miscounting(["checkpoint"], () => 1) },
  },
];
