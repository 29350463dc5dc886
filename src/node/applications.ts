import { CONFLICT_KEY_BYTES_MAX, CONFLICT_KEYS_MAX, openEnvelope, sealEnvelope } from "../dag/conflict-keys.ts";
import type { CommutativeApplication } from "../replication/application.ts";
import { Ledger } from "../replication/ledger/ledger.ts";
import { OrderedLedger } from "../replication/ledger/ordered-ledger.ts";
import { Owners } from "../replication/ledger/owners.ts";
import type { Genesis } from "./genesis.ts";
import { type EngineName, isReplicated, isTotalOrder } from "./genesis-application.ts";
import { type ClientPayload, type Intake, NodeError, type NodeService } from "./service.ts";

/** The ledger that a leaderless network begins with; null where its application is another one. */
export function createLedger(genesis: Genesis): Ledger | null {
  if (genesis.application !== "ledger" || isTotalOrder(genesis.engine)) return null;
  return new Ledger({ accounts: genesis.accounts ?? new Map(), owners: ownersOf(genesis) });
}

/** The ledger that a network with a total order begins with. */
export function createOrderedLedger(genesis: Genesis): OrderedLedger {
  return new OrderedLedger({ accounts: genesis.accounts ?? new Map(), owners: ownersOf(genesis) });
}

/** The application that judges vertices (`envelopeFault`); null for the log, whose payloads are opaque. */
export function createApplication(genesis: Genesis): CommutativeApplication | null {
  return createLedger(genesis);
}

export function ownersOf(genesis: Genesis): Owners {
  return new Owners(genesis.validators);
}

/** How clients' payloads come into this network: as they are, or in envelopes where no engine orders all of them. */
export function createIntake(genesis: Genesis, node: Pick<NodeService, "submit">): Intake {
  return {
    submit: (items) => {
      if (genesis.application === "ledger")
        throw new NodeError("transfers-only", "this network runs a ledger: POST /v1/ledger/transfers instead");
      if (isReplicated(genesis))
        throw new NodeError("commands-only", "this network runs a replicated application: POST /v1/commands instead");
      return node.submit(items.map((item) => vertexPayloadOf(genesis.engine, item)));
    },
    open: (vertexPayload) => {
      const plain = { payload: vertexPayload, conflictKeys: [] };
      return isTotalOrder(genesis.engine) ? plain : (openEnvelope(vertexPayload) ?? plain);
    },
  };
}

/**
 * What a vertex carries for a client's payload: in a leaderless network an envelope with its conflict keys.
 * @throws NodeError `payload-empty`, `conflict-keys-refused`, `malformed-keys`
 */
export function vertexPayloadOf(engine: EngineName, { payload, conflictKeys }: ClientPayload): Uint8Array {
  if (payload.length === 0) throw new NodeError("payload-empty", "a vertex needs a payload of at least one byte");
  if (isTotalOrder(engine)) {
    if (conflictKeys.length === 0) return payload;
    const why = `${engine} orders everything, so the application finds conflicts by the order; leave the keys out`;
    throw new NodeError("conflict-keys-refused", why);
  }
  if (conflictKeys.length > CONFLICT_KEYS_MAX)
    throw new NodeError("malformed-keys", `${conflictKeys.length} conflict keys, at most ${CONFLICT_KEYS_MAX}`);
  const wrong = conflictKeys.find(({ length }) => length === 0 || length > CONFLICT_KEY_BYTES_MAX);
  if (wrong !== undefined) {
    const range = `1 to ${CONFLICT_KEY_BYTES_MAX} bytes: declare the hash of a longer one`;
    throw new NodeError("malformed-keys", `a conflict key of ${wrong.length} bytes, but must be ${range}`);
  }
  return sealEnvelope({ conflictKeys, payload });
}

/** The client's payload in a vertex of this network; null where it is none, as only a liar's can be. */
export function clientPayloadOf(engine: EngineName, vertexPayload: Uint8Array): Uint8Array | null {
  return isTotalOrder(engine) ? vertexPayload : (openEnvelope(vertexPayload)?.payload ?? null);
}
