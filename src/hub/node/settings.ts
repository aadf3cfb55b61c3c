import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

// The variables and their order are huggingface_hub's, so that Python tools and this one share downloads and sign-in.
// https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables

/** The Hub's address, without a slash at its end. */
export function hubEndpoint(env: Environment = process.env): string {
  return (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
}

/** The folder of the Hugging Face cache that holds `models--org--name`. */
export function hubCacheFolder(env: Environment = process.env): string {
  const chosen = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  return chosen ? expandHome(chosen) : join(huggingFaceHome(env), "hub");
}

/** Whether the Hub must not be asked. */
export function hubIsOffline(env: Environment = process.env): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((env.HF_HUB_OFFLINE ?? "").toUpperCase());
}

/** The access token: from the environment, else the one that `hf auth login` stored. */
export async function hubToken(env: Environment = process.env): Promise<string | undefined> {
  const given = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN;
  if (given) return given.trim();
  const path = env.HF_TOKEN_PATH ? expandHome(env.HF_TOKEN_PATH) : join(huggingFaceHome(env), "token");
  const stored = await readFile(path, "utf8").catch(() => "");
  return stored.trim() || undefined;
}

/** Lorikeet's own cache: converted weights and models from a second source. */
export function lorikeetCacheFolder(env: Environment = process.env): string {
  if (env.LORIKEET_CACHE) return expandHome(env.LORIKEET_CACHE);
  return join(env.XDG_CACHE_HOME ? expandHome(env.XDG_CACHE_HOME) : join(homedir(), ".cache"), "lorikeet");
}

function huggingFaceHome(env: Environment): string {
  if (env.HF_HOME) return expandHome(env.HF_HOME);
  return join(env.XDG_CACHE_HOME ? expandHome(env.XDG_CACHE_HOME) : join(homedir(), ".cache"), "huggingface");
}

function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}
