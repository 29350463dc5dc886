import { describe, expect, test } from "bun:test";
import { decode } from "../../src/codec/codec.ts";
import { hasDistinctSigners } from "../../src/membership/certificate.ts";
import type { Epoch } from "../../src/membership/ids.ts";
import { earlierSetsOf, membershipStateCodec, membershipDigest } from "../../src/membership/membership-state.ts";
import { type EpochLink, epochLinkCodec } from "../../src/light/epochs.ts";
import { stateOf } from "../../src/light/state-certificate.ts";
import { present } from "../../src/lib/assert.ts";
import { questionCodec, stateAnswerCodec } from "../../src/node/wire.ts";
import { encode } from "../../src/codec/codec.ts";
import { Scene, SETTLED_MS, withTransport } from "./scene.ts";

const EVERYBODY = [0, 1, 2, 3];

/** What a node shows of the ends of epochs, while virtual time goes on. */
async function linksOf(scene: Scene, place: number): Promise<readonly EpochLink[]> {
  const { node } = scene.world.node(place);
  let links: readonly Uint8Array[] | null = null;
  void node?.proofs.epochLinks(0).then((shown) => {
    links = shown;
  });
  await scene.until(scene.world.schedule.nowMs + 5_000, () => links !== null);
  return present(links as readonly Uint8Array[] | null, "links").map((link) => decode(epochLinkCodec, link));
}

/** Said once, by a quorum of the epoch that ended, and of a state that names the next validators. */
function check({ certificate, membership }: EpochLink, epoch: number): string {
  const next = decode(membershipStateCodec, membership);
  const state = stateOf(certificate);
  expect(certificate.epoch as number).toBe(epoch);
  expect([state.epoch as number, state.membership]).toEqual([epoch + 1, membershipDigest(next)]);
  const set = present(
    earlierSetsOf(next).find((earlier) => earlier.epoch === (epoch as Epoch)),
    "the set that ended",
  );
  expect(hasDistinctSigners(set, certificate.proofs, set.quorum)).toBe(true);
  return certificate.state.toHex();
}

describe("the ends of epochs", () => {
  test.each([1, 2, 3, 4])(
    "are the same, and proved, at every node that was away around them (seed %d)",
    async (seed) => {
      const scene = new Scene({ nodes: 4, joiners: 1, seed, delayMs: [1, 20], dismissed: [3] });
      await scene.until(SETTLED_MS);
      scene.load([0, 1, 2], SETTLED_MS, SETTLED_MS + 12_000, 100);
      scene.admit([0, 1, 2], 4);
      await scene.until(SETTLED_MS + 5_000, () => EVERYBODY.some((place) => scene.epochOf(place) === 1));
      // Who has just executed the end forgets what was in memory, one after the other.
      for (const place of [seed % 4, (seed + 1) % 4]) {
        scene.restart(place);
        await scene.pass(40 * seed);
      }
      await scene.pass(2_000);
      scene.dismiss([0, 1, 2, 4], 3);
      await scene.until(SETTLED_MS + 20_000, () => [0, 1, 2, 4].every((place) => scene.epochOf(place) === 2));
      scene.world.node(0).crash();
      await scene.pass(2_000);
      scene.world.node(0).start();
      await scene.pass(30_000);
      const states: string[][] = [];
      for (const place of [0, 1, 2, 4]) {
        const links = await linksOf(scene, place);
        states.push(links.map((link, epoch) => check(link, epoch)));
      }
      expect(states[0]).toHaveLength(2);
      for (const other of states) expect(other).toEqual(states[0] ?? []);
    },
  );

  test("are proved although one validator answers every question with what others said of another state", async () => {
    const scene = new Scene({
      nodes: 4,
      joiners: 1,
      delayMs: [1, 3],
      liars: [3],
      alter: (parts, node) => {
        if (node.place !== 3) return parts;
        const { transport } = parts;
        const start: typeof transport.start = async (handler) => {
          await transport.start({
            onPeerConnected: (peer) => handler.onPeerConnected(peer),
            onPeerDisconnected: (...left) => handler.onPeerDisconnected(...left),
            onFrame: (...frame) => handler.onFrame(...frame),
            onRequest: async (peer, body) => {
              const question = decode(questionCodec, body);
              if (question.kind !== "state") return await handler.onRequest(peer, body);
              const { sequence } = question;
              const other = encode(questionCodec, { ...question, sequence: (sequence - 1) as typeof sequence });
              const { proofs } = decode(stateAnswerCodec, await handler.onRequest(peer, other));
              return encode(stateAnswerCodec, { proofs: [...proofs, ...proofs] });
            },
          });
        };
        return withTransport(parts, { start });
      },
    });
    await scene.until(SETTLED_MS);
    scene.pay(0, 3);
    await scene.pass(1_000);
    scene.admit([0, 1, 2], 4);
    await scene.until(SETTLED_MS + 9_000, () => [0, 1, 2, 4].every((place) => scene.epochOf(place) === 1));
    await scene.pass(5_000);
    for (const place of [0, 1, 2, 4]) {
      const [link] = await linksOf(scene, place);
      check(present(link, "a link"), 0);
      expect(link?.certificate.proofs.map(({ seal }) => seal.signer)).toHaveLength(3);
    }
  });
});
