/** What the one between says instead of what a node answered to this path. */
export type Forge = (path: string, body: Readonly<Record<string, unknown>>) => object;

/** A node as one sees it through somebody who changes what it says. */
export async function through<T>(honest: string, forge: Forge, use: (url: string) => Promise<T>): Promise<T> {
  return await instead(async (path, search) => {
    const response = await fetch(honest + path + search);
    const body = (await response.json()) as Readonly<Record<string, unknown>>;
    return Response.json(forge(path, body), { status: response.status });
  }, use);
}

/** Somebody who answers in the place of a node. */
export async function instead<T>(
  answer: (path: string, search: string) => Promise<Response> | Response,
  use: (url: string) => Promise<T>,
): Promise<T> {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      return await answer(pathname, search);
    },
  });
  try {
    return await use(`http://127.0.0.1:${server.port}`);
  } finally {
    await server.stop(true);
  }
}
