import type { Client, Fault, Plan } from "../plan.ts";
import type { WrongNode } from "./wrong-node.ts";
import { careless, chatty, forgetful, generous, hasty, local, selfish, silent } from "./wrong-replication.ts";

/** Bugs of replicated applications and of what drives and serves them: `catalogue.ts` has them with all others. */
export const WRONG_APPLICATIONS: readonly WrongNode[] = [
  {
    bug: "a session that is forgotten by one who comes back",
    breaks: "a command takes effect once, however often it comes (sessions.ts)",
    seeds: 20,
    expects: ["exactly-once"],
    says: /took effect again/,
    swarm: { nodes: 4, byzantine: 0, application: "key-value" },
    adjust: withImpatientClients,
    plant: { makeReplication: forgetful },
  },
  {
    bug: "a snapshot that is restored without what came after it",
    breaks: "the state is that to which the log has led (replica-restore.ts)",
    seeds: 20,
    expects: ["application-root"],
    swarm: { nodes: 4, byzantine: 0, application: "key-value" },
    adjust: withImpatientClients,
    plant: { makeReplication: hasty },
  },
  {
    bug: "an application that has something of its own node in its state",
    breaks: "it depends on nothing but its commands and their contexts (replicated.ts)",
    seeds: 5,
    expects: ["application-root"],
    swarm: { nodes: 4, byzantine: 0, application: "key-value" },
    plant: { makeReplication: selfish },
  },
  {
    bug: "a compare-and-set that compares nothing",
    breaks: "it writes if the key still is so (docs/key-value.md)",
    seeds: 5,
    expects: ["application-answer"],
    swarm: { nodes: 4, byzantine: 0, application: "key-value" },
    plant: { makeReplication: careless },
  },
  {
    bug: "a ledger that credits before it looks at the debit",
    breaks: "the balances add up to the total (ordered-ledger.ts)",
    seeds: 10,
    expects: ["ledger-total"],
    swarm: { nodes: 4, byzantine: 0, application: "ledger" },
    plant: { makeReplication: generous },
  },
  {
    bug: "a linearizable read that does not ask the order",
    breaks: "it has seen every command whose outcome anybody was told (application-service.ts)",
    seeds: 20,
    expects: ["linearizable-reads"],
    swarm: { nodes: 4, byzantine: 0, application: "ledger" },
    plant: { makeService: local },
  },
  {
    bug: "an outcome that is told before it is on the disk",
    breaks: "listeners hear of what is durable (replication.ts)",
    seeds: 20,
    expects: ["durable-before-visible"],
    swarm: { nodes: 4, byzantine: 0, application: "key-value" },
    adjust: withImpatientClients,
    plant: { makeService: chatty },
  },
  {
    bug: "an outcome that nobody is told",
    breaks: "who keeps asking is answered (application-service.ts)",
    seeds: 5,
    expects: ["liveness"],
    says: /client \w+ waits for/,
    swarm: { nodes: 4, byzantine: 0, engine: "hotstuff", application: "key-value" },
    adjust: (plan) => ({ ...plan, faults: [] }),
    plant: { makeReplication: silent },
  },
];

/** Clients that ask everybody for the same before anybody can have answered, while one node after the other goes down. */
function withImpatientClients(plan: Plan): Plan {
  const clients = Array.from({ length: 2 }, (_, index): Client => {
    return { atMs: 500 + 100 * index, commands: 60, atATime: 4, patienceMs: 20 };
  });
  const faults = Array.from({ length: 8 }, (_, index): Fault => {
    return { kind: "crash", node: index % plan.nodes, atMs: 900 + 600 * index, operations: index % 7, downMs: 200 };
  });
  return { ...plan, clients, faults, snapshots: { ...plan.snapshots, interval: 20, kept: 2 } };
}
