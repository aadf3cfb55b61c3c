import { join } from "node:path";
import { InputError } from "../../errors.js";
import { parseRepositoryName } from "../model-name.js";
import { fromHub, type HubOptions, ONLY_SOURCE_MILLISECONDS } from "./from-hub.js";
import { exists, fetchFiles, knownCommit, listRepository, type Repository, rememberCommit, snapshotFolder } from "./repository.js";

const CONFIG = "adapter_config.json";
/** The forms of an adapter's weights, the better one first. */
const WEIGHTS = ["adapter_model.safetensors", "adapter_model.bin"] as const;

/**
 * The folder of an adapter on the Hub, `org/name`, `org/name@revision` or with a folder inside, `org/name/folder`, downloaded where it is not
 * in the cache; undefined for what is no such name.
 *
 * @throws InputError where there is no such adapter, RunError where the Hub cannot be reached.
 */
export async function resolveAdapter(given: string, options: HubOptions = {}): Promise<string | undefined> {
  const named = parseRepositoryName(given);
  if (named === undefined) return undefined;
  const { name, revision, path } = named;
  const repository: Repository = { kind: "adapter", name };
  const inside = (file: string) => (path === "" ? file : `${path}/${file}`);
  return await fromHub(
    {
      name,
      refresh: false,
      instead: "the folder of an adapter",
      async cached(cacheFolder) {
        const commit = await knownCommit(cacheFolder, repository, revision);
        if (commit === undefined) return undefined;
        const folder = join(snapshotFolder(cacheFolder, repository, commit), path);
        const has = await Promise.all([CONFIG, ...WEIGHTS].map((file) => exists(join(folder, file))));
        return has[0] && has.slice(1).includes(true) ? folder : undefined;
      },
      async download(cacheFolder, connection) {
        const listing = await listRepository(repository, revision, connection, {
          folders: path === "" ? [] : "all",
          choose(files) {
            const find = (file: string) => files.find((entry) => entry.path === inside(file));
            const [config, weights] = [find(CONFIG), WEIGHTS.map(find).find((found) => found !== undefined)];
            if (config !== undefined && weights !== undefined) return [config, weights];
            const others = files.flatMap((entry) => (entry.path.endsWith(`/${CONFIG}`) ? [entry.path.slice(0, -CONFIG.length - 1)] : []));
            const hint =
              others.length === 0 ? "" : ` There are adapters in its folders ${others.slice(0, 10).join(", ")}: give one behind its name.`;
            throw new InputError(
              `${name} has no adapter${path === "" ? "" : ` in ${path}`}: ${CONFIG} and ${WEIGHTS.join(" or ")} are needed.${hint}`,
            );
          },
        });
        const folder = await fetchFiles(cacheFolder, repository, listing, connection, options.onProgress);
        await rememberCommit(cacheFolder, repository, revision, listing.commit);
        return join(folder, path);
      },
    },
    { ...options, patience: { connectMilliseconds: ONLY_SOURCE_MILLISECONDS, ...options.patience } },
  );
}
