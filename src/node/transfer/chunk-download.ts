import type { NodeId } from "../../crypto/identity.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence } from "../../membership/ids.ts";
import { chunkHash, type Manifest } from "../../replication/snapshot.ts";
import type { SnapshotStore } from "../replicated/snapshot-store.ts";

/** A chunk has 1 MiB at most; who takes longer is asked again only where nobody else has it. */
const SLOW_MS = 3_000;

export interface DownloadPorts {
  readonly snapshots: Pick<SnapshotStore, "chunk" | "writeChunk">;
  /** Who offered this manifest, one or more. */
  readonly peers: readonly NodeId[];
  /** Null where there is no answer, or none with a chunk. */
  readonly ask: (
    peer: NodeId,
    chunk: { readonly sequence: Sequence; readonly number: number },
  ) => Promise<Uint8Array | null>;
  readonly onWrongChunk: (peer: NodeId) => void;
  readonly monotonicMs: () => number;
  /** Whether this node has come to the state by itself. */
  readonly isOvertaken: () => boolean;
}

/** The chunks of one manifest, each from whoever delivers the bytes of its hash. */
export class ChunkDownload {
  readonly #ports: DownloadPorts;
  /** Those that let this node wait; asked last. */
  readonly #slow = new Set<NodeId>();
  /** Those that sent other bytes than they had offered; asked no more. */
  readonly #wrong = new Set<NodeId>();

  constructor(ports: DownloadPorts) {
    this.#ports = ports;
  }

  /**
   * Whether all chunks are on the disk; else those that could be had, for the next attempt. What is there from the last one is
   * not asked for again.
   * @param patienceMs from the first question on
   */
  async run({ sequence, sessionChunks, stateChunks }: Manifest, patienceMs: number): Promise<boolean> {
    const { snapshots, monotonicMs, isOvertaken } = this.#ports;
    let sinceMs: number | null = null;
    for (const [index, hash] of [...sessionChunks, ...stateChunks].entries()) {
      const number = index + 1;
      const held = await snapshots.chunk(sequence, number);
      if (held !== null && chunkHash(held) === hash) continue;
      sinceMs ??= monotonicMs();
      if (monotonicMs() - sinceMs > patienceMs) return false;
      const chunk = await this.#get({ sequence, number }, hash);
      if (chunk === null || isOvertaken()) return false;
      await snapshots.writeChunk(sequence, number, chunk);
    }
    return true;
  }

  async #get(chunk: { readonly sequence: Sequence; readonly number: number }, hash: Hash): Promise<Uint8Array | null> {
    const { ask, monotonicMs, onWrongChunk } = this.#ports;
    for (const peer of this.#turns(chunk.number)) {
      const askedMs = monotonicMs();
      const bytes = await ask(peer, chunk);
      if (bytes === null || monotonicMs() - askedMs > SLOW_MS) this.#slow.add(peer);
      if (bytes === null) continue;
      if (chunkHash(bytes) === hash) return bytes;
      this.#wrong.add(peer);
      onWrongChunk(peer);
    }
    return null;
  }

  /** Spread, so that nobody carries a whole state alone. */
  #turns(number: number): readonly NodeId[] {
    const asked = this.#ports.peers.filter((peer) => !this.#wrong.has(peer));
    const turned = asked.map((_, turn) => asked[(number + turn) % asked.length]).filter((peer) => peer !== undefined);
    return [...turned.filter((peer) => !this.#slow.has(peer)), ...turned.filter((peer) => this.#slow.has(peer))];
  }
}
