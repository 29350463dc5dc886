import { decode } from "../codec/codec.ts";
import { bundleCodec, bundleFault, bundleStatement, holdBundle } from "../dag/bundle.ts";
import type { Hash } from "../lib/hash.ts";
import type { MembershipCommand } from "../membership/membership-command.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { commandsOf } from "../node/membership-bundles.ts";
import type { Lane } from "../node/ports.ts";
import { type Frame, frameCodec, type SealedFrame } from "../node/wire.ts";
import type { Protocol, Saying } from "./protocol.ts";

/**
 * Knows which liars acted visibly: what reached correct nodes is no frame, carries content of another digest, or contradicts
 * what the same key said before, to whomever. Detection is measured against this; who only stayed silent, slow or picky
 * did nothing that a single node could tell from a bad network.
 */
export class Oracle {
  readonly #network: NetworkContext;
  readonly #isCorrect: (place: number) => boolean;
  readonly #protocol: Protocol;
  readonly #said = new Map<string, Hash>();
  readonly #acted = new Set<number>();

  constructor(network: NetworkContext, isCorrect: (place: number) => boolean, protocol: Protocol) {
    this.#network = network;
    this.#protocol = protocol;
    this.#isCorrect = isCorrect;
  }

  /** Validators that lied where it can be seen, by index. */
  get acted(): ReadonlySet<number> {
    return this.#acted;
  }

  /** A correct node got this from a liar. */
  onDelivered(liar: number, lane: Lane, bytes: Uint8Array): void {
    if (this.#acted.has(liar)) return;
    let frame: Frame;
    try {
      frame = decode(frameCodec, bytes);
    } catch {
      this.#acted.add(liar);
      return;
    }
    if (frame.kind === "sealed" && frame.seal.signer === liar) this.#onSealed(liar, lane, frame);
  }

  #onSealed(liar: number, lane: Lane, { epoch, items }: SealedFrame): void {
    for (const { body } of items) {
      const said = this.#read(lane, body);
      if (said === null) {
        this.#acted.add(liar);
        return;
      }
      if (said.statement === null) continue;
      // A checkpoint of another state is a lie, but no contradiction; it shows only where a quorum has another one.
      const { phase, view, sequence, digest } = said.statement;
      const key = `${liar}/${epoch}/${phase}/${view}/${sequence}`;
      const before = this.#said.get(key);
      if (before !== undefined && before !== digest) this.#acted.add(liar);
      this.#said.set(key, digest);
    }
  }

  /** Evidence against a correct validator is forged. */
  #isSlander(command: MembershipCommand): boolean {
    return command.kind === "evidence" && this.#isCorrect(command.evidence.first.proof.seal.signer);
  }

  /** Null where the body alone shows the lie. */
  #read(lane: Lane, body: Uint8Array): Pick<Saying, "statement"> | null {
    try {
      if (lane === "dissemination") {
        const bundle = decode(bundleCodec, body);
        if (commandsOf(bundle).some((command) => this.#isSlander(command))) return null;
        if (bundleFault(this.#network, bundle) !== null) return null;
        return { statement: bundleStatement(holdBundle(this.#network, bundle).ref) };
      }
      const said = this.#protocol.read(body);
      return said.isForged ? null : said;
    } catch {
      return null;
    }
  }
}
