"use strict";
// Finds the Bun binary that `npm ci` brought. Plain Node, because it runs before there is any Bun.
const fs = require("node:fs");
const path = require("node:path");

/** The `bun` package's own file is a stub of a few hundred bytes until its install script has run. */
const STUB_BYTES_MAX = 1_000_000;

/** Newest first: the baseline builds run on processors without AVX2, the musl builds without glibc. */
function platformPackages() {
  const { platform, arch } = process;
  const name = platform === "win32" ? "windows" : platform;
  const cpu = arch === "arm64" ? "aarch64" : arch;
  const isMusl = platform === "linux" && process.report?.getReport().header.glibcVersionRuntime === undefined;
  const suffixes = isMusl ? ["-musl", "-musl-baseline"] : ["", "-baseline"];
  return suffixes.map((suffix) => `@oven/bun-${name}-${cpu}${suffix}`);
}

function resolvePackage(name) {
  try {
    return path.dirname(require.resolve(`${name}/package.json`, { paths: [__dirname] }));
  } catch {
    return null;
  }
}

function isBinary(file) {
  try {
    return fs.statSync(file).size > STUB_BYTES_MAX;
  } catch {
    return false;
  }
}

/** The path of a Bun binary, or an error that says what to do. */
function bunPath() {
  const executable = process.platform === "win32" ? "bun.exe" : "bun";
  const own = resolvePackage("bun");
  const candidates = own === null ? [] : [path.join(own, "bin", "bun.exe")];
  for (const name of platformPackages()) {
    // With nested dependencies the platform package may lie below the bun package.
    const folders = [resolvePackage(name), own === null ? null : path.join(own, "node_modules", name)];
    for (const folder of folders) if (folder !== null) candidates.push(path.join(folder, "bin", executable));
  }
  const found = candidates.find(isBinary);
  if (found !== undefined) return found;
  throw new Error(
    `no Bun binary for ${process.platform}-${process.arch}: run \`npm ci\` here (without --omit=optional); looked at\n  ${candidates.join("\n  ")}`,
  );
}

module.exports = { bunPath };
