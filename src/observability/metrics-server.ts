export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the metrics text at one path, and nothing else. */
export function createMetricsServer(options: {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly text: () => Promise<string>;
}): MetricsServer {
  const server = Bun.serve({
    hostname: options.host,
    port: options.port,
    fetch: async (request) => {
      if (new URL(request.url).pathname !== options.path) return new Response("not found\n", { status: 404 });
      const text = await options.text();
      return new Response(text, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
    },
  });
  return {
    url: `http://${options.host}:${server.port}${options.path}`,
    close: () => server.stop(true),
  };
}
