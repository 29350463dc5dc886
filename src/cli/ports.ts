import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import type { NodeConfig } from "../node/config.ts";

type Kind = "tcp" | "udp";

/** Ports that are free now, all held at once so that they differ, for TCP and for UDP. */
export async function freePorts(count: number, host: string): Promise<readonly number[]> {
  const held: { readonly port: number; readonly release: () => Promise<void> }[] = [];
  try {
    // A port that is free for one of the two only is skipped; there are some 28,000 to choose from.
    for (let attempt = 0; held.length < 2 * count && attempt < 20 * count; attempt++) {
      const tcp = await hold("tcp", 0, host);
      if (tcp === null) continue;
      held.push(tcp);
      const udp = await hold("udp", tcp.port, host);
      if (udp === null) await held.pop()?.release();
      else held.push(udp);
    }
    return [...new Set(held.map(({ port }) => port))];
  } finally {
    await Promise.all(held.map(({ release }) => release()));
  }
}

/** In words: the ports of these nodes that something else has, or that two of them want. */
export async function takenPorts(configs: readonly NodeConfig[]): Promise<readonly string[]> {
  const taken: string[] = [];
  const wantedBy = new Map<string, string>();
  for (const { node, network, api, metrics } of configs) {
    const listenHost = network.listen_addr.replace(/:\d+$/, "").replaceAll(/[[\]]/g, "");
    const wanted: readonly (readonly [what: string, kind: Kind, port: number, host: string, isUsed: boolean])[] = [
      ["QUIC, network.quic_port", "udp", network.quic_port, listenHost, true],
      ["API, api.http_port", "tcp", api.http_port, api.http_host, api.http_enabled],
      ["metrics, metrics.port", "tcp", metrics.port, metrics.host, metrics.enabled],
    ];
    for (const [what, kind, port, host, isUsed] of wanted) {
      if (!isUsed || port === 0) continue;
      const name = `${kind.toUpperCase()} port ${port}`;
      const other = wantedBy.get(name);
      wantedBy.set(name, node.id);
      const socket = other === undefined ? await hold(kind, port, host) : null;
      const rival = other === undefined ? "" : `, and ${other} wants it too`;
      if (socket === null) taken.push(`${name} (${what} of ${node.id}${rival})`);
      await socket?.release();
    }
  }
  return taken;
}

/** Null where the port cannot be had. */
async function hold(
  kind: Kind,
  port: number,
  host: string,
): Promise<{ readonly port: number; readonly release: () => Promise<void> } | null> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  if (kind === "udp") {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    socket.once("error", () => resolve(false));
    socket.bind({ port, address: host, exclusive: true }, () => resolve(true));
    const release = (): Promise<void> => new Promise((done) => socket.close(() => done()));
    if (await promise) return { port: socket.address().port, release };
    await release();
    return null;
  }
  const server = createServer();
  server.once("error", () => resolve(false));
  server.listen({ port, host, exclusive: true }, () => resolve(true));
  if (!(await promise)) return null;
  const address = server.address();
  const release = (): Promise<void> => new Promise((done) => server.close(() => done()));
  return { port: typeof address === "object" && address !== null ? address.port : port, release };
}
