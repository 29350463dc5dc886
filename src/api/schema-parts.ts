export const HASH: Readonly<Record<string, unknown>> = { type: "string", pattern: "^[0-9a-f]{64}$" };
export const NAME: Readonly<Record<string, unknown>> = { type: "string", pattern: "^[A-Za-z0-9._-]{1,32}$" };
/** 32 digits. */
export const CLIENT: Readonly<Record<string, unknown>> = { type: "string", pattern: "^[0-9a-f]{32}$" };
export const NUMBER: Readonly<Record<string, unknown>> = { type: "integer", minimum: 1 };
export const KEY: Readonly<Record<string, unknown>> = {
  type: "string",
  minLength: 1,
  description: "1 to 512 bytes of UTF-8; a slash in it is written %2F",
};
export const AMOUNT: Readonly<Record<string, unknown>> = {
  type: "string",
  pattern: "^[0-9]{1,20}$",
  description: "units; a text, because it may be above 2^53",
};
export const COUNT: Readonly<Record<string, unknown>> = { type: "integer", minimum: 0 };
export const TIME: Readonly<Record<string, unknown>> = { type: "integer", description: "milliseconds since 1970" };
export const BASE64: Readonly<Record<string, unknown>> = { type: "string", contentEncoding: "base64" };
export const text: Readonly<Record<string, unknown>> = { type: "string" };
export const flag: Readonly<Record<string, unknown>> = { type: "boolean" };
export const nullable = (type: string): object => ({ type: [type, "null"] });

export function object(
  properties: Readonly<Record<string, object>>,
  optional: Readonly<Record<string, object>> = {},
): object {
  return { type: "object", required: Object.keys(properties), properties: { ...properties, ...optional } };
}
