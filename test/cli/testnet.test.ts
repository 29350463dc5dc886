import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { loadConfig, parsePeer } from "../../src/node/config.ts";
import { genesisHash, parseGenesis } from "../../src/node/genesis.ts";
import { keyFileAt } from "../../src/node/key-location.ts";
import { run } from "./command.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cretoai-testnet-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function testnet(...args: string[]): ReturnType<typeof run> {
  return run(["testnet", "--engine", "pbft", "--output", join(folder, "net"), ...args]);
}

describe("testnet", () => {
  test("makes keys, configuration and one genesis that fit together", async () => {
    const { code, stdout } = await testnet("--validators", "4", "--base-port", "21000", "--json");
    expect(code).toBe(0);
    const printed = JSON.parse(stdout);
    expect(printed).toMatchObject({ validators: 4, faultTolerance: 1, quorum: 3 });
    const genesis = parseGenesis(readFileSync(join(folder, "net/genesis.json"), "utf8"));
    const ports: number[] = [];
    for (const [index, node] of printed.nodes.entries()) {
      const config = loadConfig(node.config);
      expect(config.warnings).toEqual([]);
      expect(genesisHash(parseGenesis(readFileSync(config.node.genesis, "utf8")))).toBe(genesisHash(genesis));
      const { nodeId } = await readKeyFile(keyFileAt(config.crypto.key_path));
      expect(nodeId).toBe(node.nodeId);
      expect(genesis.validators[index]).toMatchObject({ nodeId, address: `127.0.0.1:${config.network.quic_port}` });
      const peers = config.network.bootstrap_peers.map(parsePeer);
      const others = genesis.validators.filter((validator) => validator.nodeId !== nodeId);
      expect(peers.map((peer) => [peer.nodeId, `${peer.host}:${peer.port}`])).toEqual(
        others.map((validator) => [validator.nodeId, validator.address]),
      );
      ports.push(config.network.quic_port, config.api.http_port, config.metrics.port);
    }
    expect(ports).toEqual([21000, 21001, 21002, 21010, 21011, 21012, 21020, 21021, 21022, 21030, 21031, 21032]);
  });

  test("makes a network of HotStuff as it is asked for, and says what fits no other engine", async () => {
    expect((await testnet("--validators", "4", "--phases", "2")).stderr).toContain("belong to --engine hotstuff");
    const wanted = ["--engine", "hotstuff", "--phases", "2", "--vote-route", "all"];
    expect((await testnet("--validators", "4", ...wanted)).code).toBe(0);
    const { engine, hotstuff } = parseGenesis(readFileSync(join(folder, "net/genesis.json"), "utf8"));
    expect([engine, hotstuff]).toEqual(["hotstuff", { phases: 2, voteRoute: "all", leaders: "reputation" }]);
    const wrong = await run(["testnet", "-n", "4", "-o", join(folder, "x"), "--engine", "hotstuff", "--phases", "5"]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("--phases must be 3 or 2")]);
  });

  test("takes free ports where the base port is 0", async () => {
    await testnet("--validators", "3", "--base-port", "0");
    const configs = [1, 2, 3].map((index) => loadConfig(join(folder, `net/node-${index}/node.toml`)));
    const ports = configs.flatMap(({ network, api, metrics }) => [network.quic_port, api.http_port, metrics.port]);
    expect(new Set(ports).size).toBe(9);
    expect(ports.every((port) => port > 0)).toBe(true);
  });

  test("says how many may lie, and that fewer than four validators tolerate none", async () => {
    expect((await testnet("--validators", "7")).stdout).toContain("quorum 5, up to 2 of them may lie");
    rmSync(join(folder, "net"), { recursive: true });
    expect((await testnet("--validators", "3")).stdout).toContain("no lie is tolerated");
  });

  test("knows addresses of IPv6 and names", async () => {
    for (const [host, multiaddr] of [
      ["::1", "/ip6/::1/udp/9000/quic"],
      ["node.example.org", "/dns/node.example.org/udp/9000/quic"],
    ] as const) {
      const output = join(folder, host.replaceAll(":", "-"));
      const { code } = await run(["testnet", "--validators", "2", "--output", output, "--host", host]);
      expect(code).toBe(0);
      const [peer = ""] = loadConfig(join(output, "node-2/node.toml")).network.bootstrap_peers;
      expect(peer).toStartWith(`${multiaddr}/p2p/`);
      expect(parsePeer(peer)).toMatchObject({ host, port: 9000 });
      const [validator] = parseGenesis(readFileSync(join(output, "genesis.json"), "utf8")).validators;
      expect(parsePeer(validator?.address ?? "")).toMatchObject({ host, port: 9000 });
    }
  });

  test("overwrites nothing: not a folder that holds something, not a file", async () => {
    mkdirSync(join(folder, "net"));
    writeFileSync(join(folder, "net/precious"), "x");
    const refused = await testnet("--validators", "4");
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("not empty")]);
    expect(readdirSync(join(folder, "net"))).toEqual(["precious"]);
    rmSync(join(folder, "net"), { recursive: true });
    writeFileSync(join(folder, "net"), "x");
    const file = await testnet("--validators", "4");
    expect([file.code, file.stderr]).toEqual([1, expect.stringContaining("is a file")]);
  });

  test("keeps keys to their owner", async () => {
    await testnet("--validators", "1");
    expect(statSync(join(folder, "net/node-1/keys/node.key.json")).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "net/node-1")).mode & 0o077).toBe(0);
  });
});
