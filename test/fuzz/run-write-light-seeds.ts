/** Writes the seeds of what light clients read by the real encoders: `node scripts/bun.cjs test/fuzz/run-write-light-seeds.ts`. */
import { encode } from "../../src/codec/codec.ts";
import { sealEnvelope } from "../../src/dag/conflict-keys.ts";
import { toHash } from "../../src/lib/hash.ts";
import { encodeLink } from "../../src/light/epochs.ts";
import { encodeProof } from "../../src/light/finality-proof.ts";
import { type StateCertificate, stateCertificateCodec, statementAbout } from "../../src/light/state-certificate.ts";
import type { Epoch, Nonce, Position, Sequence, ValidatorIndex } from "../../src/membership/ids.ts";
import { membershipStateCodec } from "../../src/membership/membership-state.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import { acceptedAnswerCodec, certifiedAnswerCodec, questionCodec, stateAnswerCodec } from "../../src/node/wire.ts";
import { executionStateCodec, genesisState } from "../../src/replication/executor.ts";
import { membershipOf, networkOf, prove } from "../cluster/signing.ts";
import { keep } from "./corpus.ts";

const network = networkOf(4);
const membership = membershipOf(network);
const state = genesisState(network, membership);
const [ONES, TWOS] = [toHash(new Uint8Array(32).fill(1)), toHash(new Uint8Array(32).fill(2))];
const epoch = 0 as Epoch;

const leaf = statementDigest(network, statementAbout("executed", state));
const proofs = [0, 1, 3].flatMap((signer) => prove(network, signer as ValidatorIndex, [leaf]));
const certificate: StateCertificate = { epoch, phase: "executed", state: encode(executionStateCodec, state), proofs };

keep("question", "seed-state", encode(questionCodec, { kind: "state", epoch, sequence: 66_051 as Sequence }));
keep(
  "question",
  "seed-certified",
  encode(questionCodec, { kind: "certified", from: 1 as Sequence, to: 9 as Sequence }),
);
keep("question", "seed-accepted", encode(questionCodec, { kind: "accepted", epoch, vertices: [ONES, TWOS] }));
keep(
  "certified-answer",
  "seed-three",
  encode(certifiedAnswerCodec, { certificate: encode(stateCertificateCodec, certificate) }),
);
keep("accepted-answer", "seed-two", encode(acceptedAnswerCodec, { indices: [0, 1], seal: proofs[0]?.seal ?? null }));
keep("state-answer", "seed-three", encode(stateAnswerCodec, { proofs }));
keep("epoch-link", "seed-three", encodeLink({ certificate, membership: encode(membershipStateCodec, membership) }));
keep(
  "finality-proof",
  "seed-three",
  encodeProof({
    kind: "ordered",
    vertex: {
      header: {
        creator: 2 as ValidatorIndex,
        term: epoch,
        purpose: "application",
        firstNonce: 3 as Nonce,
        timestampMs: 1_000,
      },
      parents: [ONES],
      count: 3,
      index: 1,
      payload: new Uint8Array([1, 2, 3]),
      path: [TWOS, ONES],
    },
    firstPosition: 7 as Position,
    executedIndex: 0,
    executedCount: 2,
    executedPath: [TWOS],
    historyBefore: ONES,
    batch: TWOS,
    links: [{ batch: ONES, executed: TWOS }],
    certificate,
  }),
);
keep(
  "finality-proof",
  "seed-accepted",
  encodeProof({
    kind: "accepted",
    epoch,
    vertex: {
      creator: network.set.at(2 as ValidatorIndex).nodeId,
      nonce: 3 as Nonce,
      timestampMs: 1_000,
      parents: [ONES, TWOS],
      content: TWOS,
      payload: sealEnvelope({ conflictKeys: [new Uint8Array([7])], payload: new Uint8Array([1, 2, 3]) }),
    },
    proofs,
  }),
);
