// npm leaves an optional platform package out of the lock when the registry in use did not serve it at that moment,
// and then `npm ci` refuses that lock everywhere. This adds what is missing: the version that the parent pins, and the
// platform that the name says, so that npm skips it elsewhere. Run it after `npm install`; `--check` only reports.
import { readFileSync, writeFileSync } from "node:fs";

const OS = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"];
const CPU = ["arm64", "x64", "arm", "ia32", "ppc64", "s390x", "riscv64"];
const EXACT = /^\d+\.\d+\.\d+$/;

/** `@napi-rs/blake-hash-linux-arm-gnueabihf` says linux, arm, glibc. */
function platformOf(name) {
  const words = name.slice(name.indexOf("/") + 1).split("-");
  const os = words.find((word) => OS.includes(word));
  const cpu = words.find((word) => CPU.includes(word));
  if (os === undefined || cpu === undefined) throw new Error(`${name}: no platform in this name; add it by hand`);
  const libc = words.some((word) => word.startsWith("musl")) ? "musl" : "glibc";
  return { os: [os], cpu: [cpu], ...(os === "linux" && words.at(-1) !== cpu ? { libc: [libc] } : {}) };
}

/** The optional packages that the lock's packages pin and the lock does not have, with the entry each needs. */
function missingEntries(packages) {
  const missing = {};
  for (const [path, { optionalDependencies = {}, dev }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const key = `node_modules/${name}`;
      if (packages[key] !== undefined || packages[`${path}/${key}`] !== undefined) continue;
      if (!EXACT.test(version)) throw new Error(`${path} wants ${name} ${version}: not one version; add it by hand`);
      missing[key] = { version, ...(dev ? { dev: true } : {}), optional: true, ...platformOf(name) };
    }
  }
  return missing;
}

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8"));
const missing = missingEntries(lock.packages);
const names = Object.keys(missing);
for (const name of names) console.log(`missing from package-lock.json: ${name} ${missing[name].version}`);
if (names.length === 0) console.log("package-lock.json names every platform's packages");
else if (process.argv.includes("--check")) process.exitCode = 1;
else {
  const sorted = Object.entries({ ...lock.packages, ...missing }).sort(([a], [b]) => (a < b ? -1 : 1));
  lock.packages = Object.fromEntries(sorted);
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`added ${names.length}`);
}
