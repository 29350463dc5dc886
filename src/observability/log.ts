import { destination, pino } from "pino";
import type { Log, LogLevel } from "../node/observer.ts";

/** Fields that never reach a log, whoever passes them. */
const SECRETS = ["passphrase", "seed", "mlDsaSeed", "ed25519Seed", "secret", "privateKey"];

export interface LogOptions {
  readonly level: LogLevel;
  /** The node's name for people. */
  readonly name: string;
  /** Short lines for a terminal instead of JSON. */
  readonly pretty: boolean;
}

/** Structured logs on standard output: one JSON object a line, or short lines for people. */
export function createLog({ level, name, pretty }: LogOptions): Log {
  if (pretty) return prettyLog(level);
  const logger = pino(
    {
      level,
      base: { node: name },
      redact: { paths: SECRETS, censor: "[secret]" },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination({ dest: 1, sync: true }),
  );
  return (severity, event, fields = {}) => logger[severity]({ event, ...fields });
}

const ORDER: readonly LogLevel[] = ["debug", "info", "warn", "error"];

function prettyLog(level: LogLevel): Log {
  const least = ORDER.indexOf(level);
  return (severity, event, fields = {}) => {
    if (ORDER.indexOf(severity) < least) return;
    const time = new Date().toISOString().slice(11, 23);
    const rest = Object.entries(fields).map(
      ([key, value]) => `${key}=${SECRETS.includes(key) ? "[secret]" : short(value)}`,
    );
    process.stdout.write(`${time} ${severity.padEnd(5)} ${event} ${rest.join(" ")}\n`);
  };
}

/** Hashes and ids by their first digits, as people compare them. */
function short(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[0-9a-f]{64}$/.test(text) ? text.slice(0, 12) : text;
}
