import { measureOrdered, type OrderedFigures, type OrderedQuestion } from "./ordered-scale.ts";

const HEAD = [
  "nodes".padStart(5),
  "finalized/s".padStart(13),
  "p50 ms".padStart(9),
  "p95 ms".padStart(9),
  "places/s".padStart(10),
  "messages/place".padStart(16),
  "kB/place".padStart(10),
  "cores".padStart(7),
  "most".padStart(6),
].join("");

/** What a network whose leaders order everything does at several sizes: text for people. */
export function orderedReport(sizes: readonly number[], question: Omit<OrderedQuestion, "nodes">): string {
  const { engine, hotstuff, requests, verticesPerRequest, payloadBytes } = question;
  const how = engine === "pbft" ? "" : `, ${hotstuff.phases} phases, votes to ${hotstuff.voteRoute}`;
  const load = `${requests} requests of ${verticesPerRequest} vertices with ${payloadBytes} bytes under way`;
  const rows = sizes.map((nodes) => row(nodes, measureOrdered({ ...question, nodes })));
  return [`${engine}${how}; ${load}`, HEAD, ...rows].join("\n");
}

function row(nodes: number, figures: OrderedFigures): string {
  const { finalPerS, p50Ms, p95Ms, slotsPerS, messagesPerSlot, bytesPerSlot, cores, coresMost } = figures;
  return [
    String(nodes).padStart(5),
    Math.round(finalPerS).toString().padStart(13),
    p50Ms.toFixed(0).padStart(9),
    p95Ms.toFixed(0).padStart(9),
    slotsPerS.toFixed(1).padStart(10),
    messagesPerSlot.toFixed(0).padStart(16),
    (bytesPerSlot / 1_000).toFixed(0).padStart(10),
    cores.toFixed(2).padStart(7),
    coresMost.toFixed(2).padStart(6),
  ].join("");
}
