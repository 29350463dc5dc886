import { describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { parseConfig } from "../node/config.ts";
import { freePorts, takenPorts } from "./ports.ts";

function configWith(ports: readonly number[]): ReturnType<typeof parseConfig> {
  const [quic = 0, http = 0, metrics = 0] = ports;
  const toml = `[node]\nid = "n"\n[network]\nlisten_addr = "127.0.0.1"\nquic_port = ${quic}\n[api]\nhttp_port = ${http}\n[metrics]\nport = ${metrics}`;
  return parseConfig(toml, "/node.toml");
}

describe("ports", () => {
  test("that are free differ and can be had", async () => {
    const ports = await freePorts(12, "127.0.0.1");
    expect(new Set(ports).size).toBe(12);
    expect(await takenPorts([configWith(ports)])).toEqual([]);
  });

  test("that are taken are named with their key and node, TCP and UDP apart", async () => {
    const ports = await freePorts(3, "127.0.0.1");
    const [quic = 0, http = 0] = ports;
    using server = Bun.serve({ hostname: "127.0.0.1", port: http, fetch: () => new Response() });
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(quic, "127.0.0.1", resolve));
    try {
      expect(await takenPorts([configWith(ports)])).toEqual([
        `UDP port ${quic} (QUIC, network.quic_port of n)`,
        `TCP port ${server.port} (API, api.http_port of n)`,
      ]);
    } finally {
      socket.close();
    }
  });

  test("that two nodes want are named, as an environment variable for all of them makes it", async () => {
    const [quic = 0, http = 0, metrics = 0, other = 0, third = 0] = await freePorts(5, "127.0.0.1");
    const configs = [configWith([quic, http, metrics]), configWith([other, http, third])];
    expect(await takenPorts(configs)).toEqual([`TCP port ${http} (API, api.http_port of n, and n wants it too)`]);
  });

  test("that the node would choose itself, or does not use, are never taken", async () => {
    expect(await takenPorts([configWith([0, 0, 0])])).toEqual([]);
  });
});
