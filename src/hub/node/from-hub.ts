import { RunError } from "../../errors.js";
import type { DownloadProgress } from "./download-file.js";
import { type HubConnection, HubUnreachable, type Patience, patience } from "./hub-connection.js";
import { processFetch } from "./proxied-fetch.js";
import { hubCacheFolder, hubEndpoint, hubIsOffline, hubToken } from "./settings.js";

/** How the Hub is asked. */
export interface HubOptions {
  /** Access token of the Hub; where not given, HF_TOKEN or the stored sign-in. */
  readonly token?: string | undefined;
  /** Bytes, while a file is downloaded. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** What a person should know: another source was used, an old copy was taken. */
  readonly onNotice?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly fetch?: typeof fetch | undefined;
  /** Limits on waiting, for tests. */
  readonly patience?: Partial<Patience> | undefined;
}

/** How long what has one source alone waits for the Hub's first answer. */
export const ONLY_SOURCE_MILLISECONDS = 15_000;

/** Something of a repository, and how it is got. */
export interface Wanted<Found> {
  /** The repository's name. */
  readonly name: string;
  /** What is in the cache; undefined where something is missing. */
  readonly cached: (cacheFolder: string) => Promise<Found | undefined>;
  readonly download: (cacheFolder: string, connection: HubConnection) => Promise<Found>;
  /** Whether the Hub is asked although the cache has it. */
  readonly refresh: boolean;
  /** What a person may give in its place. */
  readonly instead: string;
}

/**
 * Takes something out of the cache, or from the Hub where it is not there or is to be refreshed.
 *
 * @throws InputError where the Hub gives nothing out, RunError where it cannot be reached and the cache has nothing.
 */
export async function fromHub<Found>({ name, cached, download, refresh, instead }: Wanted<Found>, options: HubOptions): Promise<Found> {
  const cacheFolder = hubCacheFolder();
  const here = await cached(cacheFolder);
  if (here !== undefined && (!refresh || hubIsOffline())) return here;
  if (hubIsOffline()) {
    throw new RunError(
      `${name} is not in the cache (${cacheFolder}), and HF_HUB_OFFLINE forbids to ask the Hub. Unset it, or give ${instead}.`,
    );
  }
  const connection: HubConnection = {
    endpoint: hubEndpoint(),
    token: options.token ?? (await hubToken()),
    fetch: options.fetch ?? processFetch(),
    signal: options.signal,
    patience: { ...patience, ...options.patience },
  };
  try {
    return await download(cacheFolder, connection);
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error;
    if (here !== undefined) {
      options.onNotice?.(`${error.message}; the copy of ${name} in the cache is used.`);
      return here;
    }
    throw new RunError(
      `${name} could not be fetched: ${error.message}. Connect to the network, or set HF_ENDPOINT to a mirror, or give ${instead}.`,
      { cause: error },
    );
  }
}
