import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isKnownReason, isTimestampDiscard, violationOfIgnored, violationOfRejected } from "./violations.ts";

const ROOT = join(import.meta.dirname, "../..");

function text(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

function sources(folder: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .map((name) => `${folder}/${name}`);
}

/** Every reason that the source hands to one of these functions: a text, or a template whose class is plain. */
function reasonsOf(pattern: RegExp): readonly { readonly file: string; readonly reason: string }[] {
  return [...sources("src/node"), ...sources("src/consensus"), ...sources("src/network")].flatMap((file) => {
    return [...text(file).matchAll(pattern)].map((match) => ({ file, reason: match[1] ?? "" }));
  });
}

const REJECTS = /(?:onRejected\([^"`;]*|\breject\(|kind: "reject", reason: )["`]([a-z][a-z-]*)/g;
const IGNORES = /(?:onIgnored\([^"`;]*|\bignore\(|kind: "ignore", reason: )["`]([a-z][a-z-]*)/g;

describe("the taxonomy of violations", () => {
  test("knows every reason for which the inbound path or an engine rejects", () => {
    const found = reasonsOf(REJECTS);
    // Those that were there when this was written: fewer would mean that the pattern reads nothing.
    expect(found.length).toBeGreaterThanOrEqual(17);
    expect(found.filter(({ reason }) => !isKnownReason("rejected", reason))).toEqual([]);
  });

  test("knows every reason for which the inbound path or an engine ignores", () => {
    const found = reasonsOf(IGNORES);
    expect(found.length).toBeGreaterThanOrEqual(12);
    expect(found.filter(({ reason }) => !isKnownReason("ignored", reason))).toEqual([]);
  });

  test("reads the class of a reason with particulars, and holds nothing unknown against anybody", () => {
    expect(violationOfRejected("malformed-frame: DecodeError: 3 bytes too many")).toBe("malformed");
    expect(violationOfRejected("invalid-signature")).toBe("invalid-signature");
    expect(violationOfRejected("unknown-signer")).toBeNull();
    expect(violationOfRejected("something-new")).toBeNull();
    expect(violationOfRejected("toString")).toBeNull();
    expect(violationOfIgnored("duplicate")).toBe("replay");
    expect(violationOfIgnored("above-window")).toBeNull();
  });

  test("finds the engine's words for a proposal with an absurd time, and no other discard", () => {
    const details = ["src/consensus/pbft/normal-case.ts", "src/consensus/hotstuff/votes.ts"].map((file) => {
      return /`(a proposal \$\{[^}]*\} ms away[^`]*)`/.exec(text(file))?.[1]?.replace(/\$\{[^}]*\}/, "$${age}");
    });
    const [detail = "", other] = details;
    expect(detail).not.toBe("");
    expect(other).toBe(detail);
    expect(isTimestampDiscard("discard", detail.replace(/\$\{[^}]*\}/, "90000"))).toBe(true);
    // An old proposal is what a node that was away is shown.
    expect(isTimestampDiscard("discard", detail.replace(/\$\{[^}]*\}/, "-90000"))).toBe(false);
    expect(isTimestampDiscard("discard", "a proposal without its content")).toBe(false);
    expect(isTimestampDiscard("prepare", detail.replace(/\$\{[^}]*\}/, "5"))).toBe(false);
  });
});
