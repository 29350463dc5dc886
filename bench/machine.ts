import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import packageJson from "../package.json" with { type: "json" };

/** Where and with what a figure was measured; no figure is worth anything without it. */
export function machine(): Readonly<Record<string, unknown>> {
  const [first] = cpus();
  return {
    cpu: first?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    bun: Bun.version,
    cretoai: packageJson.version,
    dependencies: packageJson.dependencies,
  };
}

/** CPU seconds of a process so far, all threads; from /proc, so on Linux only. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  const ticks = Number(fields[11]) + Number(fields[12]);
  return ticks / 100;
}

export function rssBytesOf(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) * 1024;
}
