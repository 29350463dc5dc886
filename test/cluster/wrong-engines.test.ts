import { describe, expect, test } from "bun:test";
import { breathe, runSeed } from "./campaign.ts";
import { WRONG_ENGINES } from "./wrong-engines.ts";

/** If one of these fails, the harness has gone blind: nothing that it passes means anything until that is mended. */
describe("the virtual cluster finds planted bugs", () => {
  for (const { bug, seeds, options } of WRONG_ENGINES) {
    test(`${bug}, within ${seeds} seeds`, async () => {
      let found: string | null = null;
      for (let seed = 1; seed <= seeds && found === null; seed++) {
        const { verdict, detail } = runSeed({ seed, ...options });
        await breathe();
        if (verdict === "violation") found = `seed ${seed}: ${detail}`;
      }
      if (process.env["SHOW_FOUND"] !== undefined) console.log(`${bug}: ${found}`);
      expect(found).not.toBeNull();
    });
  }
});
