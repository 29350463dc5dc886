import { type Codec, decode, encode } from "../codec/codec.ts";
import { option, struct } from "../codec/composites.ts";
import { bytes, hash } from "../codec/primitives.ts";
import { asciiBytes } from "../lib/ascii.ts";
import type { Hash } from "../lib/hash.ts";
import { type StateCertificate, stateCertificateCodec } from "../light/state-certificate.ts";
import type { Epoch, Sequence, ValidatorIndex } from "../membership/ids.ts";
import { validatorIndexCodec } from "../membership/seal.ts";
import type { HistoryLink } from "../replication/executor.ts";
import { FRAME_BYTES_MAX } from "./wire.ts";
import type { Database } from "./ports.ts";
import { WriteBatch } from "./write-batch.ts";

/** What one batch added to the chain of histories, and what the chain is after it. */
export interface HistoryRow extends HistoryLink {
  readonly history: Hash;
}

/** How an epoch ended, for whoever is to say or to collect that it did. */
export interface EpochEnd {
  /** This node's index where it was a validator of the epoch. */
  readonly signer: ValidatorIndex | null;
  /** Encoded: the state, and the membership that it names. */
  readonly state: Uint8Array;
  readonly membership: Uint8Array;
}

const historyRowCodec: Codec<HistoryRow> = struct<HistoryRow>({ batch: hash, executed: hash, history: hash });

const epochEndCodec: Codec<EpochEnd> = struct<EpochEnd>({
  signer: option(validatorIndexCodec),
  state: bytes(FRAME_BYTES_MAX),
  membership: bytes(FRAME_BYTES_MAX),
});

/** Rows of `consensus`, beside the engines'. An open end is one of which no quorum's word is here yet. */
type Kind = "history" | "certified" | "epoch-end" | "epoch-open";

/** Rows deleted at a time. */
const FORGOTTEN_ROWS = 64;

/** Open ends that are looked for at a start; those of older epochs come when they are asked for. */
const OPEN_ENDS_MAX = 256;

/** What proofs of finality are made of, on this node's disk. */
export class ProofLedger {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  recordHistory(batch: WriteBatch, sequence: Sequence, row: HistoryRow): void {
    batch.put("consensus", keyOf("history", sequence), encode(historyRowCodec, row));
  }

  recordCertificate(batch: WriteBatch, sequence: Sequence, certificate: StateCertificate): void {
    const hint = certificate.state.length + 5_000 * certificate.proofs.length;
    batch.put("consensus", keyOf("certified", sequence), encode(stateCertificateCodec, certificate, hint));
  }

  recordEpochEnd(batch: WriteBatch, epoch: Epoch, end: EpochEnd): void {
    batch.put("consensus", keyOf("epoch-end", epoch), encode(epochEndCodec, end, end.membership.length + 1_024));
    batch.put("consensus", keyOf("epoch-open", epoch), new Uint8Array(1));
  }

  closeEpochEnd(batch: WriteBatch, epoch: Epoch): void {
    batch.delete("consensus", keyOf("epoch-open", epoch));
  }

  /** From the batch of a sequence on, at most `limit`, without gaps. */
  async histories(from: Sequence, limit: number): Promise<readonly HistoryRow[]> {
    const range = { gte: keyOf("history", from), lt: keyOf("history", from + limit), limit };
    const rows = await this.#database.scan("consensus", range);
    return rows.map(({ value }) => decode(historyRowCodec, value));
  }

  async certificateAt(sequence: Sequence): Promise<StateCertificate | null> {
    const row = await this.#database.get("consensus", keyOf("certified", sequence));
    return row === undefined ? null : decode(stateCertificateCodec, row);
  }

  /** The first certificate of a state after this batch or a later one. */
  async certificateFrom(sequence: Sequence): Promise<StateCertificate | null> {
    const range = { gte: keyOf("certified", sequence), lt: asciiBytes("certified/~"), limit: 1 };
    const [row] = await this.#database.scan("consensus", range);
    return row === undefined ? null : decode(stateCertificateCodec, row.value);
  }

  /** The last certificate of a state after one of these batches, both ends among them; encoded. */
  async encodedBetween(from: Sequence, to: Sequence): Promise<Uint8Array | null> {
    const range = { gte: keyOf("certified", from), lt: keyOf("certified", to + 1), reverse: true, limit: 1 };
    const [row] = await this.#database.scan("consensus", range);
    return row?.value ?? null;
  }

  async epochEnd(epoch: Epoch): Promise<EpochEnd | null> {
    const row = await this.#database.get("consensus", keyOf("epoch-end", epoch));
    return row === undefined ? null : decode(epochEndCodec, row);
  }

  /**
   * Deletes what proves batches before this one, but for the history that the next one builds on, and for the ends of
   * epochs: without these nobody could follow the validators from genesis.
   */
  async forgetBefore(sequence: Sequence): Promise<void> {
    await this.#forget({ kind: "history", before: sequence - 1 }, () => true);
    const isCheckpoint = (row: Uint8Array): boolean => decode(stateCertificateCodec, row).phase === "checkpoint";
    await this.#forget({ kind: "certified", before: sequence }, isCheckpoint);
  }

  async #forget(
    { kind, before }: { readonly kind: Kind; readonly before: number },
    isGone: (row: Uint8Array) => boolean,
  ): Promise<void> {
    for (let gte = keyOf(kind, 0); ; ) {
      const rows = await this.#database.scan("consensus", { gte, lt: keyOf(kind, before), limit: FORGOTTEN_ROWS });
      const batch = new WriteBatch();
      for (const { key, value } of rows) if (isGone(value)) batch.delete("consensus", key);
      if (batch.count > 0) await this.#database.write(batch.finish());
      const last = rows.at(-1);
      if (last === undefined) return;
      gte = Uint8Array.of(...last.key, 0);
    }
  }

  /** Epochs whose end nobody proved to this node, ascending. */
  async openEnds(): Promise<readonly Epoch[]> {
    const range = { gte: asciiBytes("epoch-open/"), lt: asciiBytes("epoch-open/~"), limit: OPEN_ENDS_MAX };
    const rows = await this.#database.scan("consensus", range);
    const digits = "epoch-open/".length;
    return rows.map(({ key }) => Number.parseInt(String.fromCharCode(...key.subarray(digits)), 16) as Epoch);
  }
}

function keyOf(kind: Kind, number: number): Uint8Array {
  return asciiBytes(`${kind}/${number.toString(16).padStart(14, "0")}`);
}
