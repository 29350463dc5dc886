import { listen, type QuicEndpoint, type QuicSession, type SessionOptions } from "node:quic";

/**
 * `listen`, and an endpoint that has its socket. Where the port is in use `listen` alone does not fail: its endpoint comes back
 * closed, without an address, and only `closed` says why.
 * @throws what kept the socket from being bound
 */
export async function listenBound(
  onSession: (session: QuicSession) => void,
  options: SessionOptions,
): Promise<QuicEndpoint> {
  const endpoint = await listen(onSession, options);
  if (endpoint.address === undefined || endpoint.address === null) {
    await endpoint.closed;
    throw new Error("its socket closed at once");
  }
  return endpoint;
}
