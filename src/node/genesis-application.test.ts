import { describe, expect, test } from "bun:test";
import type { NodeId } from "../crypto/identity.ts";
import {
  APPLICATIONS,
  applicationBytes,
  applicationFault,
  ENGINES,
  isReplicated,
  isTotalOrder,
} from "./genesis-application.ts";

const VALIDATORS = [{ name: "node-1", nodeId: "a".repeat(64) as NodeId }];

describe("the application of a network", () => {
  test("is driven by the total order where there is one, but for the log", () => {
    const driven = ENGINES.flatMap((engine) =>
      APPLICATIONS.filter((application) => isReplicated({ engine, application })).map((name) => `${engine} ${name}`),
    );
    const all = ["ledger", "key-value", "workflow", "custom"];
    expect(driven.filter((each) => !each.startsWith("avalanche"))).toEqual(
      ["pbft", "hotstuff"].flatMap((engine) => all.map((name) => `${engine} ${name}`)),
    );
    for (const engine of ENGINES) expect(isReplicated({ engine })).toBe(false);
  });

  test("is refused where it needs a total order and there is none", () => {
    const refused = APPLICATIONS.filter((application) => applicationFault("avalanche", application) !== null);
    expect(refused).toEqual(["key-value", "workflow", "custom"]);
    for (const engine of ENGINES.filter(isTotalOrder)) {
      for (const application of APPLICATIONS) expect(applicationFault(engine, application)).toBeNull();
    }
  });

  test("gives networks of either ledger hashes of their own", () => {
    const accounts = new Map([["node-1/main", 5n]]);
    const bytesOf = (engine: (typeof ENGINES)[number]): string | undefined =>
      applicationBytes({ engine, application: "ledger", accounts, validators: VALIDATORS })?.toHex();
    expect(bytesOf("hotstuff")).toBe(bytesOf("pbft"));
    expect(bytesOf("avalanche")).not.toBe(bytesOf("pbft"));
  });
});
