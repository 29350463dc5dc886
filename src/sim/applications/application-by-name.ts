import type { NodeId } from "../../crypto/identity.ts";
import type { SimApplication } from "../plan.ts";
import { testedKeyValue } from "./key-value-model.ts";
import { testedLedger } from "./tested-ledger.ts";
import type { TestedApplication } from "./tested-application.ts";

/** Null for the log, which drives nothing. @param nodeIds of all processes, the validators of genesis first */
export function testedApplication(
  name: SimApplication,
  nodeIds: readonly NodeId[],
  validators: number,
): TestedApplication | null {
  switch (name) {
    case "log":
      return null;
    case "key-value":
      return testedKeyValue();
    case "ledger":
      return testedLedger(nodeIds, validators);
  }
}
