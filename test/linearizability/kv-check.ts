import { checkHistory, LIMITS, type Limits, type Verdict } from "./checker.ts";
import type { Operation } from "./history.ts";
import { KV_MODEL, kvModel } from "./kv-model.ts";
import type { KvInput, KvOutput } from "./kv-operations.ts";
import { withoutDoubt } from "./unanswered-writes.ts";

/**
 * Checks a history of the key-value store. What the whole of it tells of writes without an answer is used first, as these are
 * what makes a search long; the prefix of a violation is then looked for without that, so that it stands by itself.
 */
export function checkKv(
  history: readonly Operation<KvInput, KvOutput>[],
  limits: Limits = LIMITS,
): Verdict<KvInput, KvOutput> {
  const originals = withoutDoubt(history);
  const verdict = checkHistory(kvModel([...originals.keys()]), [...originals.keys()], limits);
  if (verdict.type !== "violation") return verdict;
  const nameOf = KV_MODEL.partition(history.map(({ input }) => input));
  const failing = history.filter(({ input }) => verdict.partitions.includes(nameOf(input)));
  const again = checkHistory(KV_MODEL, failing, limits);
  if (again.type === "violation") return { ...again, partitions: verdict.partitions };
  const { violation } = verdict;
  const original = (one: Operation<KvInput, KvOutput>): Operation<KvInput, KvOutput> => originals.get(one) ?? one;
  const operations = violation.operations.map(original);
  return { ...verdict, violation: { ...violation, operations, culprit: original(violation.culprit) } };
}
