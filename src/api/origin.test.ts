import { expect, test } from "bun:test";
import { isWelcomeOrigin } from "./origin.ts";

const CLOSED = { enabled: false, origins: [] };

test("programs, which name no origin, are welcome", () => {
  expect(isWelcomeOrigin(null, "127.0.0.1:8080", CLOSED)).toBe(true);
});

test.each([
  ["http://127.0.0.1:8080", "127.0.0.1:8080"],
  ["http://localhost:8080", "localhost:8080"],
  ["http://[::1]:8080", "[::1]:8080"],
])("the node's own page at %s is welcome", (origin, host) => {
  expect(isWelcomeOrigin(origin, host, CLOSED)).toBe(true);
});

test.each([
  ["http://evil.example", "evil.example"],
  ["http://evil.example:8080", "127.0.0.1:8080"],
  ["http://127.0.0.1:9090", "127.0.0.1:8080"],
  ["null", "127.0.0.1:8080"],
])("a page of %s is not, whatever name it reaches this node by", (origin, host) => {
  expect(isWelcomeOrigin(origin, host, CLOSED)).toBe(false);
});

test("an origin that the operator let in is", () => {
  expect(isWelcomeOrigin("https://app.example", "node:8080", { enabled: true, origins: ["https://app.example"] })).toBe(
    true,
  );
  expect(
    isWelcomeOrigin("https://app.example", "node:8080", { enabled: false, origins: ["https://app.example"] }),
  ).toBe(false);
});
