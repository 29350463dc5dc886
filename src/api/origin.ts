/**
 * Whether a request from a web page may change something here. A browser names the page's origin; a page whose own name was
 * made to point at this machine (DNS rebinding) is of the same origin as this API for the browser, and no preflight stops
 * it. So an origin passes only where the operator let it in, or where it is this very server under an address that no name
 * server can hand out: an IP literal or localhost. Programs send no origin.
 */
export function isWelcomeOrigin(
  origin: string | null,
  host: string | null,
  cors: { readonly enabled: boolean; readonly origins: readonly string[] },
): boolean {
  if (origin === null) return true;
  if (cors.enabled && (cors.origins.includes("*") || cors.origins.includes(origin))) return true;
  const from = URL.parse(origin);
  return from !== null && from.host === host && isFixedName(from.hostname);
}

/** `localhost`, an IPv4 address, or an IPv6 address in brackets. */
function isFixedName(hostname: string): boolean {
  return hostname === "localhost" || hostname.startsWith("[") || /^\d{1,3}(?:\.\d{1,3}){3}$/.test(hostname);
}
