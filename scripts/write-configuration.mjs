// Writes docs/configuration.md from the declaration of the keys. Run it with Bun: node scripts/bun.cjs scripts/write-configuration.mjs
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { configReference } from "../src/node/config-reference.ts";

const file = fileURLToPath(new URL("../docs/configuration.md", import.meta.url));
mkdirSync(fileURLToPath(new URL("../docs", import.meta.url)), { recursive: true });
writeFileSync(file, configReference());
console.log(file);
