import type { DoubleCluster } from "./double-targets.ts";
import { endOfPrefix } from "./random-input.ts";
import type { Expected, KvInput, KvOutput } from "./kv-operations.ts";

/** The double behind the routes under /v1/kv, on a free port. */
export function serveDouble(double: DoubleCluster): { readonly url: string; stop(): Promise<void> } {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const input = await inputOf(request);
      const client = request.headers.get("x-cretoai-client");
      const number = Number(request.headers.get("x-cretoai-number"));
      return responseOf(double.perform(input, client === null ? null : { client, number }));
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

async function inputOf(request: Request): Promise<KvInput> {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === "/v1/kv") {
    const prefix = searchParams.get("prefix");
    return {
      type: "range",
      from: prefix ?? searchParams.get("from") ?? "",
      to: prefix === null ? searchParams.get("to") : endOfPrefix(prefix),
      limit: Number(searchParams.get("limit")),
      reverse: searchParams.get("reverse") === "true",
    };
  }
  const key = decodeURIComponent(pathname.slice("/v1/kv/".length));
  if (request.method === "GET") return { type: "get", key };
  const next = request.method === "DELETE" ? null : await request.text();
  const expected = expectedOf(request.headers);
  if (expected !== null) return { type: "compare-and-set", key, expected, next };
  return next === null ? { type: "delete", key } : { type: "put", key, value: next };
}

function expectedOf(headers: Headers): Expected | null {
  const version = headers.get("if-match");
  if (version !== null) return { type: "version", version: Number(version) };
  return headers.get("if-none-match") === "*" ? { type: "absent" } : null;
}

function responseOf(output: KvOutput): Response {
  const json = (status: number, body: object): Response => Response.json(body, { status });
  const base64 = (text: string): string => new TextEncoder().encode(text).toBase64();
  switch (output.type) {
    case "read":
      return output.item === null
        ? json(404, { type: "/problems/no-such-key" })
        : json(200, { ...output.item, value: base64(output.item.value) });
    case "written":
      return json(200, { version: output.version, previous: output.previous === "absent" ? null : output.previous });
    case "conflict":
      return json(412, {
        type: "/problems/version-conflict",
        current: output.current === "absent" ? null : output.current,
      });
    case "items":
      return json(200, { items: output.items.map((item) => ({ ...item, value: base64(item.value) })), next: null });
  }
}
