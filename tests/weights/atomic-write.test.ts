import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunError } from "../../src/errors.js";
import { removeStaleTemporaries, writeFileAtomic, writeStreamAtomic } from "../../src/weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../src/weights/node/atomic-folder.js";
import { testOnSmallDisk } from "../support/small-disk.js";

const run = promisify(execFile);
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lorikeet-atomic-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function freshFolder(name: string): Promise<string> {
  await mkdir(join(root, name));
  return join(root, name);
}

/** Builds a program around the writers, to be run, and killed, as a process of its own. */
async function buildProgram(name: string, body: string): Promise<string> {
  const outfile = join(root, `${name}.mjs`);
  const source = `import { writeStreamAtomic } from "./src/weights/node/atomic-file.ts"; import { writeSafetensors } from "./src/weights/node/write-safetensors.ts";\n${body}`;
  await build({
    stdin: { contents: source, resolveDir: process.cwd() },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile,
    logLevel: "silent",
  });
  return outfile;
}

describe("writing files", () => {
  it("writes text and bytes, replaces what was there, and leaves no other file", async () => {
    const folder = await freshFolder("plain");
    await writeFileAtomic(join(folder, "a.json"), "one — é");
    await writeFileAtomic(join(folder, "a.json"), new TextEncoder().encode("two"));
    expect(await readFile(join(folder, "a.json"), "utf8")).toBe("two");
    expect(await readdir(folder)).toEqual(["a.json"]);
  });

  it.runIf(process.platform === "linux")("says where nothing can be made, and does not try without end", async () => {
    await expect(writeFolderAtomic("/proc/lorikeet", "the adapter", async () => {})).rejects.toThrow(/was not written/);
  });

  it("keeps the old file when the writer fails halfway", async () => {
    const folder = await freshFolder("failing");
    await writeFileAtomic(join(folder, "a"), "old");
    const failing = writeStreamAtomic(join(folder, "a"), async (sink) => {
      await sink.write(new Uint8Array(1000));
      throw new Error("the producer broke");
    });
    await expect(failing).rejects.toThrow("the producer broke");
    expect(await readFile(join(folder, "a"), "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual(["a"]);
  });

  it("says what is wrong with the place", async () => {
    const folder = await freshFolder("places");
    await expect(writeFileAtomic(join(folder, "no", "such"), "x")).rejects.toThrow(
      "its folder does not exist. Create it or choose another.",
    );
    await mkdir(join(folder, "taken"));
    await expect(writeFileAtomic(join(folder, "taken"), "x")).rejects.toThrow("a folder of that name is in the way");
    // What fails in the producer is not the target's fault.
    await expect(writeStreamAtomic(join(folder, "a"), async () => void (await readFile(join(folder, "gone"))))).rejects.toThrow("ENOENT");
    expect(await readdir(folder)).toEqual(["taken"]);
  });

  it("a kill -9 during a save leaves the previous file, and the next save clears up", async () => {
    const folder = await freshFolder("killed");
    const path = join(folder, "adapter.safetensors");
    await writeFileAtomic(path, "the previous checkpoint");
    const program = await buildProgram(
      "endless",
      `await writeSafetensors(process.argv[2], [{ name: "x", dtype: "F32", shape: [1 << 28], data: async function* () {
         for (let i = 0; ; i++) { yield new Float32Array(1 << 14); if (i === 20) process.stdout.write("writing"); await new Promise((done) => setTimeout(done, 1)); }
       } }]);`,
    );
    const child = spawn(process.execPath, [program, path], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");

    expect(await readFile(path, "utf8")).toBe("the previous checkpoint");
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toHaveLength(1);
    await writeFileAtomic(path, "the next checkpoint");
    expect(await readFile(path, "utf8")).toBe("the next checkpoint");
    expect(await readdir(folder)).toEqual(["adapter.safetensors"]);
  });

  testOnSmallDisk("a full disk leaves the previous file readable and says so", async (run, code) => {
    const program = await buildProgram(
      "filling",
      `import { readdirSync, readFileSync, writeFileSync } from "node:fs";
       const path = process.argv[2] + "/a.safetensors";
       writeFileSync(path, "previous");
       const entries = [{ name: "x", dtype: "F32", shape: [1 << 18], data: () => new Float32Array(1 << 18) }];
       const error = await writeSafetensors(path, entries).then(() => undefined, (reason) => reason);
       console.log(JSON.stringify({ path, name: error?.name, message: error?.message, cause: error?.cause?.code, content: readFileSync(path, "utf8"), files: readdirSync(process.argv[2]) }));`,
    );
    const { path, ...found } = JSON.parse(run(program));
    expect(found).toEqual({
      name: "RunError",
      message: `${path} was not written: the disk or the quota is full. What was there before is unchanged. Make room and run again.`,
      cause: code,
      content: "previous",
      files: ["a.safetensors"],
    });
  });

  it("removes left-over temporary files only", async () => {
    const folder = await freshFolder("stale");
    const { stdout } = await run(process.execPath, ["-p", "process.pid"]); // a process that is gone
    const here =
      hostname()
        .replace(/[^A-Za-z0-9-]/g, "")
        .slice(0, 32) || "host";
    const names = {
      dead: `.a.json.${here}.${stdout.trim()}.0123456789ab.tmp`,
      otherTarget: `.b.json.${here}.${stdout.trim()}.0123456789ab.tmp`,
      alive: `.a.json.${here}.${process.pid}.0123456789ab.tmp`,
      elsewhereNew: `.a.json.another-machine.1.0123456789ab.tmp`,
      elsewhereOld: `.a.json.another-machine.2.0123456789ab.tmp`,
      foreign: ".a.json.tmp",
    };
    for (const name of Object.values(names)) await writeFile(join(folder, name), "");
    await utimes(join(folder, names.elsewhereOld), new Date(0), new Date(0));
    expect([...(await removeStaleTemporaries(folder, "a.json"))].sort()).toEqual([names.dead, names.elsewhereOld].sort());
    expect(await removeStaleTemporaries(folder)).toEqual([names.otherTarget]);
    expect((await readdir(folder)).sort()).toEqual([names.alive, names.elsewhereNew, names.foreign].sort());
  });

  it("explains a folder that may not be written to", async () => {
    const folder = await freshFolder("locked");
    await chmod(folder, 0o500);
    const failure: unknown = await writeFileAtomic(join(folder, "a"), "x").catch((error: unknown) => error);
    await chmod(folder, 0o700);
    if (process.getuid?.() === 0)
      expect(failure).toBeUndefined(); // nothing is forbidden to root
    else expect(failure).toBeInstanceOf(RunError);
  });
});
