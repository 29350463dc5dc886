import type { DagCertificate } from "../../src/consensus/dag-engine.ts";
import { decode } from "../../src/codec/codec.ts";
import { DecodeError } from "../../src/codec/reader.ts";
import { arrival, NETWORK as network } from "../../src/consensus/avalanche/avalanche.cases.ts";
import type { AvalancheMessage } from "../../src/consensus/avalanche/messages.ts";
import type { EngineEvent } from "../../src/consensus/engine.ts";
import { bundleCodec, bundleFault, holdBundle } from "../../src/dag/bundle.ts";
import { DagSync, type DagSyncPorts } from "../../src/node/dag-sync.ts";
import type { StoredBundle } from "../../src/node/ledger.ts";
import { type DagAnswer, dagAnswerCodec, type ProvenBody } from "../../src/node/wire.ts";
import { LIAR, victim } from "./dag-fixture.ts";
import { codecTarget, promise, type Target } from "./target.ts";

/** What the node makes of a body, without the signature check. */
function open({ body, proof }: ProvenBody): StoredBundle | null {
  try {
    const bundle = decode(bundleCodec, body);
    return bundleFault(network, bundle) === null ? { held: holdBundle(network, bundle), body, proof } : null;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return null;
  }
}

type Ports = DagSyncPorts<AvalancheMessage>;

/** A liar gives one answer to every question; the real exchange hands what is in it to a real engine. */
async function exchanged(answer: DagAnswer): Promise<string> {
  const { core, inside } = victim();
  const words: string[] = [];
  let asked = 0;
  const step = (event: EngineEvent<AvalancheMessage>): void => {
    promise(event.kind === "dag-claims" || event.kind === "dag-sync-failed", `${event.kind} out of an exchange`);
    for (const effect of core.onEvent(event)) promise(effect.kind !== "decide", "one validator decides nothing");
    words.push(event.kind);
  };
  const sync = new DagSync<AvalancheMessage>({
    epochs: { engine: { dag: core } } as unknown as Ports["epochs"],
    catchUp: {
      askDag: () => {
        asked += 1;
        return Promise.resolve(answer);
      },
      openAll: (bodies: readonly ProvenBody[]) => {
        const bundles = bodies.map(open).filter((stored) => stored !== null);
        return Promise.resolve(bundles.length === bodies.length ? bundles : null);
      },
      withProof: (certificate: DagCertificate) => Promise.resolve(certificate),
      reject: () => words.push("rejected"),
    } as unknown as Ports["catchUp"],
    onBundles: (bundles) => {
      const arrivals = bundles.map(({ held }) => arrival(held));
      // One that contradicts its own parents is refused for good at once.
      for (const effect of core.onEvent({ kind: "dag-bundles", nowMs: 20, wallMs: 20, bundles: arrivals })) {
        const isAccepting = effect.kind === "decide" && effect.decisions.some(({ place }) => place !== "rejected");
        promise(!isAccepting, "bundles accept nothing");
      }
      return Promise.resolve();
    },
    feed: step,
    now: () => ({ nowMs: 30, wallMs: 30 }),
  });
  await sync.ask(LIAR, true);
  promise(asked <= 2, `${asked} questions, each answered by the same`);
  promise(words.length > 0, "an exchange without an end");
  for (const nowMs of [1_100, 8_000]) core.onTimer("patience", nowMs);
  promise(inside.graph.nodes.size <= 6 + answer.items.length, "an answer made more bundles than it has");
  return words.join(" ");
}

const codec: Target = codecTarget("dag-answer", dagAnswerCodec);

/** The answer about the DAG, from its bytes to the engine. */
export const DAG_ANSWER: Target = {
  ...codec,
  run: async (input) => {
    const outcome = await codec.run(input);
    let answer: DagAnswer;
    try {
      answer = decode(dagAnswerCodec, input);
    } catch {
      return outcome;
    }
    return `${outcome} ${await exchanged(answer)}`;
  },
};
