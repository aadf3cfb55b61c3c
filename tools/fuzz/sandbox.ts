import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Input } from "./input.js";
import type { Outside } from "./mutations/folder.js";

/** A folder in which inputs are laid out and read. All of it is watched. */
export interface Sandbox {
  readonly base: string;
  /** Holds the input. */
  readonly input: string;
  /** What may be made, and the folder in which it may be made. */
  readonly out: string;
  readonly outFolder: string;
  readonly outside: Outside;
  lay(input: Input): void;
  /** Whatever was made, changed or removed since the input was laid out, but for what may be made; empties that. */
  changes(): string[];
  remove(): void;
}

export function createSandbox(): Sandbox {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "lorikeet-fuzz-")));
  const [input, outFolder, file] = [join(base, "in/folder"), join(base, "out"), join(base, "outside.txt")];
  for (const folder of [input, outFolder, join(base, "home")]) mkdirSync(folder, { recursive: true });
  writeFileSync(file, "nobody writes here");
  const escapes = ["../escaped", "../../escaped.safetensors", join(base, "escaped"), "/dev/null", "..", "con", "a/../../../escaped"];
  const special = ["/dev/zero", ...pipeIn(base)];
  let before = new Map<string, string>();
  return {
    base,
    input,
    outFolder,
    out: join(outFolder, "made"),
    outside: { file, escapes, special },
    lay(entries) {
      rmSync(input, { recursive: true, force: true });
      for (const [path, entry] of entries) {
        const place = join(input, path);
        mkdirSync(entry === "folder" ? place : dirname(place), { recursive: true });
        if (entry instanceof Uint8Array) writeFileSync(place, entry);
        else if (entry !== "folder") symlinkSync(entry.link, place);
      }
      mkdirSync(input, { recursive: true });
      before = snapshot(base);
    },
    changes() {
      const after = snapshot(base);
      const found = [...after].filter(([path, state]) => before.get(path) !== state && !isProduct(path)).map(([path]) => path);
      const gone = [...before.keys()].filter((path) => !after.has(path));
      rmSync(outFolder, { recursive: true });
      mkdirSync(outFolder);
      return [...found.map((path) => `${path} was written`), ...gone.map((path) => `${path} was removed`)];
    },
    remove: () => rmSync(base, { recursive: true, force: true }),
  };
}

/** What was asked for is made in the folder for it, under its name and no other. */
const isProduct = (path: string): boolean => path === "out" || path === "out/made" || path.startsWith("out/made/");

/** A pipe, where the system can make one. */
function pipeIn(base: string): string[] {
  try {
    execFileSync("mkfifo", [join(base, "pipe")], { stdio: "ignore" });
    return [join(base, "pipe")];
  } catch {
    return [];
  }
}

/** Everything below a folder, with its size and the time of its last change. */
function snapshot(base: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(base, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      const { size, mtimeMs, mode } = lstatSync(join(base, path));
      found.set(path, entry.isDirectory() ? "folder" : `${mode} ${size} ${mtimeMs}`);
      if (entry.isDirectory()) walk(path);
    }
  };
  walk("");
  return found;
}
