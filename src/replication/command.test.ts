import { describe, expect, test } from "bun:test";
import { Bug } from "../lib/assert.ts";
import { PAYLOAD_BYTES_MAX } from "../dag/limits.ts";
import { COMMAND_BODY_BYTES_MAX, type ClientId, decodeCommand, encodeCommand, isClientId } from "./command.ts";

const CLIENT = "000102030405060708090a0b0c0d0e0f" as ClientId;
const GOLDEN = `01${CLIENT}0700000000000000${"0300000000000000"}aabbcc`;

describe("a client's command", () => {
  test("is a version, the client, the number and the body", () => {
    const command = { client: CLIENT, number: 7, body: Uint8Array.of(0xaa, 0xbb, 0xcc) };
    expect(encodeCommand(command).toHex()).toBe(GOLDEN);
    expect(decodeCommand(Uint8Array.fromHex(GOLDEN))).toEqual(command);
  });

  test.each([
    ["of another version", `02${GOLDEN.slice(2)}`],
    ["numbered 0", GOLDEN.replace("0700000000000000", "0000000000000000")],
    ["numbered above 2^53", GOLDEN.replace("0700000000000000", "0000000000002000")],
    ["with a byte behind it", `${GOLDEN}00`],
    ["cut short", GOLDEN.slice(0, -2)],
    ["that is empty", ""],
  ])("%s is none", (_, hex) => {
    expect(decodeCommand(Uint8Array.fromHex(hex))).toBeNull();
  });

  test("fills a vertex's payload and not more", () => {
    const body = new Uint8Array(COMMAND_BODY_BYTES_MAX);
    expect(encodeCommand({ client: CLIENT, number: 1, body })).toHaveLength(PAYLOAD_BYTES_MAX);
    expect(() => encodeCommand({ client: CLIENT, number: 1, body: new Uint8Array(body.length + 1) })).toThrow(Bug);
  });

  test("names its client in 32 lower-case hexadecimal digits", () => {
    expect(isClientId(CLIENT)).toBe(true);
    for (const text of ["", CLIENT.slice(1), CLIENT.toUpperCase(), `${CLIENT}0`, CLIENT.replace("0", "g")]) {
      expect(isClientId(text)).toBe(false);
    }
  });
});
