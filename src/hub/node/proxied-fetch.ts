import { EnvHttpProxyAgent, fetch as undiciFetch } from "undici";

const VARIABLES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] as const;

/**
 * The `fetch` of this process: through the proxy that HTTPS_PROXY or HTTP_PROXY names, except to the hosts of NO_PROXY, and Node's own
 * where none is named.
 */
export function processFetch(env: Readonly<Record<string, string | undefined>> = process.env): typeof fetch {
  if (!VARIABLES.some((name) => env[name])) return globalThis.fetch;
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: env.http_proxy ?? env.HTTP_PROXY ?? "",
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY ?? "",
    noProxy: env.no_proxy ?? env.NO_PROXY ?? "",
  });
  // The package's types and Node's are of one library in two versions.
  return ((input: string | URL, init?: object) => undiciFetch(input, { ...init, dispatcher })) as unknown as typeof fetch;
}
