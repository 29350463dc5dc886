import { decode } from "../codec/codec.ts";
import { bundleHeaderCodec } from "../dag/bundle.ts";
import { Reader } from "../codec/reader.ts";
import { messageCodec as hotStuffCodec } from "../consensus/hotstuff/codec.ts";
import { messageCodec as pbftCodec } from "../consensus/pbft/codec.ts";
import type { Epoch } from "../membership/ids.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ViolationType } from "../peering/peer-score.ts";
import type { EngineName } from "./genesis-application.ts";
import type { Lane } from "./ports.ts";
import type { SealedFrame } from "./wire.ts";

export interface Finding {
  readonly type: ViolationType;
  readonly detail: string;
}

/** As far as a proposal's time may be ahead of the clock (`CLOCK_SKEW_MS_MAX` of the engine). */
const AHEAD_MS_MAX = 15_000;

/** A bundle may have waited in queues for long; one that is older was not made in the turn that sealed it. */
const BEHIND_MS_MAX: number = 10 * 60_000;

/** Peers whose highest wished view is remembered: above any `max_peers`. */
const PEERS_MAX = 2_048;

/** The wire's tag (u32, little-endian) of a word with which a view is given up, and how to read its view. */
interface ViewWord {
  readonly tag: number;
  readonly viewOf: (body: Uint8Array) => number | null;
}

const PBFT_VIEW_CHANGE: ViewWord = {
  tag: 4,
  viewOf: (body) => {
    const message = decode(pbftCodec, body);
    return message.kind === "view-change" ? message.view : null;
  },
};

const HOTSTUFF_TIMEOUT: ViewWord = {
  tag: 3,
  viewOf: (body) => {
    const message = decode(hotStuffCodec, body);
    return message.kind === "timeout" ? message.view : null;
  },
};

const TAG_BYTES = 4;

/**
 * Looks at what a peer says on its own behalf, in frames that it sealed: does its lane ascend, are its times near the clock,
 * how often does it want another view? What is relayed is others', old and in any order by right. Bodies are not verified
 * here, and need not be: whatever they are, this connection's owner sent them as its own.
 */
export class FrameInspector {
  readonly #wishedViews = new Map<NodeId, { readonly epoch: Epoch; readonly view: number }>();
  readonly #word: ViewWord;

  constructor(engine: EngineName) {
    this.#word = engine === "hotstuff" ? HOTSTUFF_TIMEOUT : PBFT_VIEW_CHANGE;
  }

  /** @param wallMs milliseconds since 1970 */
  inspect(peer: NodeId, lane: Lane, frame: SealedFrame, wallMs: number): readonly Finding[] {
    try {
      return lane === "consensus" ? this.#viewChanges(peer, frame) : bundleFindings(frame, wallMs);
    } catch {
      // What cannot be read is rejected where it is read for its content.
      return [];
    }
  }

  /** One for each view above all that this peer has wished for so far: its repeats to others who ask are no new wish. */
  #viewChanges(peer: NodeId, frame: SealedFrame): readonly Finding[] {
    const findings: Finding[] = [];
    for (const { body } of frame.items) {
      if (tagOf(body) !== this.#word.tag) continue;
      const view = this.#word.viewOf(body);
      if (view === null || view <= this.#wished(peer, frame.epoch)) continue;
      if (!this.#wishedViews.has(peer) && this.#wishedViews.size >= PEERS_MAX) this.#wishedViews.clear();
      this.#wishedViews.set(peer, { epoch: frame.epoch, view });
      findings.push({ type: "view-change-spam", detail: `asks for view ${view}` });
    }
    return findings;
  }

  /** Views count anew in every epoch. */
  #wished(peer: NodeId, epoch: Epoch): number {
    const wished = this.#wishedViews.get(peer);
    return wished?.epoch === epoch ? wished.view : 0;
  }
}

/** At most one of each type for a frame. */
function bundleFindings(frame: SealedFrame, wallMs: number): readonly Finding[] {
  const findings = new Map<ViolationType, Finding>();
  const lasts = new Map<"dag" | "log", number>();
  for (const { body } of frame.items) {
    const { firstNonce, timestampMs, purpose } = bundleHeaderCodec.decode(new Reader(body));
    // The lane that the log orders and the leaderless one count their nonces apart.
    const lane = purpose === "dag" ? purpose : "log";
    const last = lasts.get(lane) ?? 0;
    if (firstNonce <= last) {
      const detail = `a bundle from nonce ${firstNonce} behind one from nonce ${last} in one frame`;
      findings.set("out-of-order", { type: "out-of-order", detail });
    }
    lasts.set(lane, Math.max(last, firstNonce));
    const aheadMs = timestampMs - wallMs;
    if (aheadMs > AHEAD_MS_MAX || -aheadMs > BEHIND_MS_MAX) {
      const detail = `a bundle ${aheadMs} ms away from this node's clock`;
      findings.set("timestamp", { type: "timestamp", detail });
    }
  }
  return [...findings.values()];
}

function tagOf(bytes: Uint8Array): number | null {
  if (bytes.length < TAG_BYTES) return null;
  return new DataView(bytes.buffer, bytes.byteOffset, TAG_BYTES).getUint32(0, true);
}
