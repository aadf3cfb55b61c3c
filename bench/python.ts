import { execFile } from "node:child_process";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { InputError } from "../src/errors.js";

/** A Python that can run PEFT. */
export interface PeerPython {
  readonly path: string;
  /** python and the packages, as installed. */
  readonly versions: Readonly<Record<string, string>>;
  /** Packages whose version is not the one that the bench names, in words. */
  readonly deviations: readonly string[];
}

/** No Python for the peer, and why. */
export interface MissingPython {
  readonly missing: string;
}

const VARIABLE = "LORIKEET_BENCH_PYTHON";
const HOW = `Run bench/setup.sh, or set ${VARIABLE} to a Python that has the packages of bench/requirements.txt.`;

/** Prints the versions of the packages named, null for one that is not installed. */
const askVersions = `
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try: found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError: found[name] = None
print(json.dumps(found))
`;

/**
 * The Python of the environment variable, else the one of `bench/setup.sh`.
 * @throws InputError when the variable names none that runs: a wish must not be passed over in silence.
 */
export async function findPython(bench: string): Promise<PeerPython | MissingPython> {
  const wanted = process.env[VARIABLE];
  const path = wanted || (await ownPython(join(bench, "scratch/venv")));
  if (path === undefined) return { missing: `PEFT is not measured: there is no Python for it. ${HOW}` };
  const pinned = readRequirements(await readFile(join(bench, "requirements.txt"), "utf8"));
  const found = await versionsOf(path, [...pinned.keys()], wanted ? VARIABLE : "bench/scratch/venv");
  const absent = [...pinned.keys()].filter((name) => found[name] === null);
  if (absent.length > 0) return { missing: `PEFT is not measured: its Python has no ${absent.join(", ")}. ${HOW}` };
  const versions = Object.fromEntries(Object.entries(found).map(([name, version]) => [name, version ?? "unknown"]));
  return { path, versions, deviations: deviationsFrom(pinned, versions) };
}

/** name → version of lines `name==version`. */
export function readRequirements(text: string): ReadonlyMap<string, string> {
  const lines = text.split("\n").map((line) => line.trim().split("=="));
  return new Map(lines.flatMap(([name, version]) => (name && version ? [[name, version] as const] : [])));
}

/** A build such as 2.13.0+cpu is that version too. */
export function deviationsFrom(pinned: ReadonlyMap<string, string>, versions: Readonly<Record<string, string>>): string[] {
  return [...pinned].flatMap(([name, version]) => {
    const found = versions[name];
    return found?.split("+")[0] === version ? [] : [`${name} is ${found ?? "missing"}, the bench is made for ${version}`];
  });
}

async function ownPython(environment: string): Promise<string | undefined> {
  for (const path of [join(environment, "bin/python"), join(environment, "Scripts/python.exe")]) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  return undefined;
}

async function versionsOf(path: string, names: readonly string[], source: string): Promise<Record<string, string | null>> {
  try {
    const { stdout } = await promisify(execFile)(path, ["-c", askVersions, ...names]);
    return JSON.parse(stdout);
  } catch (cause) {
    throw new InputError(`The Python of ${source} does not run: ${path}. ${HOW}`, { cause });
  }
}
