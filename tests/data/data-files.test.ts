import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRows } from "../../src/data/node/read-rows.js";
import { InputError } from "../../src/errors.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const lines = (...texts: string[]) => texts.map((text) => `${JSON.stringify({ text })}\n`).join("");
const textsOf = async (path: string) => (await readRows(path)).rows.map(({ row }) => (row.kind === "text" ? row.text : row));

async function errorOf(path: string): Promise<string> {
  const error: unknown = await readRows(path).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(InputError);
  return (error as InputError).message.replaceAll(`${folder}/`, "");
}

// Proves gzip in: zlib's files, of several members too; damaged ones are refused
describe("gzip", () => {
  test("JSONL, CSV and JSON, several members one after the other, and under a name that does not say so", async () => {
    expect(await textsOf(await write("a.jsonl.gz", gzipSync(lines("one", "two"))))).toEqual(["one", "two"]);
    expect(await readRows(await write("a.csv.gz", gzipSync("prompt;completion\na;b\n")))).toMatchObject({
      format: "csv",
      rows: [{ row: { kind: "completion", prompt: "a", completion: "b" }, source: { line: 2 } }],
    });
    expect(await textsOf(await write("a.json.gz", gzipSync('[{"text":"x"}]')))).toEqual(["x"]);
    expect(await textsOf(await write("b.jsonl.gz", Buffer.concat([gzipSync(lines("one")), gzipSync(lines("two"))])))).toEqual([
      "one",
      "two",
    ]);
    expect(await textsOf(await write("c.jsonl", gzipSync(lines("one"))))).toEqual(["one"]);
    expect(await textsOf(await write("plain.jsonl.gz", lines("not packed")))).toEqual(["not packed"]);
  });

  test("much more than one piece", async () => {
    const texts = Array.from({ length: 20_000 }, (_, index) => `row ${index} ${(index * 7919) % 10_007}`);
    expect(await textsOf(await write("large.jsonl.gz", gzipSync(lines(...texts))))).toEqual(texts);
  });

  test("cut short, and with a wrong checksum", async () => {
    const packed = gzipSync(lines(...Array.from({ length: 1000 }, (_, index) => `row ${index}`)));
    expect(await errorOf(await write("cut.jsonl.gz", packed.subarray(0, packed.length / 2)))).toMatch(
      /^cut\.jsonl\.gz: its gzip data are damaged or cut short \(unexpected end of file\)\. Fetch or pack it again\.$/,
    );
    packed[packed.length - 6] = (packed[packed.length - 6] ?? 0) ^ 1;
    expect(await errorOf(await write("wrong.jsonl.gz", packed))).toMatch(/gzip data are damaged.*incorrect data check/);
  });
});

// Proves data-folder in: all files in the order of their names, every bad row told
describe("a folder", () => {
  test("all its files of rows in the order of their names; rows keep their file and line", async () => {
    const path = join(folder, "rows");
    await mkdir(join(path, "inner"), { recursive: true });
    await writeFile(join(path, "b.jsonl"), `\n${lines("b")}`);
    await writeFile(join(path, "a.csv.gz"), gzipSync("text\na\n"));
    await writeFile(join(path, "README.md"), "# about\n");
    await writeFile(join(path, ".hidden.jsonl"), "{");
    await writeFile(join(folder, "elsewhere"), lines("c"));
    await symlink(join(folder, "elsewhere"), join(path, "c.jsonl"));
    const { rows, files, format } = await readRows(path);
    expect(rows.map(({ row, source }) => [row, source])).toEqual([
      [
        { kind: "text", text: "a" },
        { file: join(path, "a.csv.gz"), line: 2 },
      ],
      [
        { kind: "text", text: "b" },
        { file: join(path, "b.jsonl"), line: 2 },
      ],
      [
        { kind: "text", text: "c" },
        { file: join(path, "c.jsonl"), line: 1 },
      ],
    ]);
    expect(files).toEqual(["a.csv.gz", "b.jsonl", "c.jsonl"].map((name) => join(path, name)));
    expect(format).toBe("csv, jsonl");
  });

  test("bad rows of all files in one error", async () => {
    const path = join(folder, "bad");
    await mkdir(path);
    await writeFile(join(path, "1.jsonl"), `${lines("good")}{"x":1}\n`);
    await writeFile(join(path, "2.jsonl"), '{"text":5}\n'.repeat(12));
    const named = (await errorOf(path)).split("\n");
    expect(named).toHaveLength(11);
    expect(named[0]).toMatch(/^bad\/1\.jsonl:2: expected the keys/);
    expect(named[9]).toMatch(/^bad\/2\.jsonl:9: expected "text" to be a string, found 5$/);
    expect(named[10]).toBe("… and 3 more rows.");
  });

  test("without files of rows", async () => {
    const path = join(folder, "none");
    await mkdir(join(path, "train"), { recursive: true });
    expect(await errorOf(path)).toMatch(
      /^none: is a folder without files of rows \(\.jsonl, .*\)\. Folders in it are not searched: train\.$/,
    );
  });
});

// Proves standard-input in: told by their content, through a pipe into a process of its own
describe("standard input", () => {
  /** What a process reads from its standard input, in the thread of a worker as commands do, and what it leaves in the temporary folder. */
  async function piped(content: string | Uint8Array): Promise<{ read: unknown; left: string[] }> {
    const script = join(folder, "stdin.mjs");
    const temporary = await mkdtemp(join(folder, "tmp-"));
    await build({
      stdin: {
        contents: `
          import { isMainThread, Worker } from "node:worker_threads";
          import { readRows } from "./src/data/node/read-rows.js";
          if (isMainThread) new Worker(new URL(import.meta.url));
          else readRows("-").then(
            ({ format, rows }) => console.log(JSON.stringify({ format, rows })),
            ({ message }) => console.log(JSON.stringify({ message })),
          );`,
        resolveDir: process.cwd(),
      },
      bundle: true,
      platform: "node",
      format: "esm",
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
      outfile: script,
      logLevel: "error",
    });
    const child = spawn(process.execPath, [script], { env: { ...process.env, TMPDIR: temporary }, stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.end(content);
    let output = "";
    for await (const piece of child.stdout) output += piece;
    return { read: JSON.parse(output), left: await readdir(temporary) };
  }

  test("JSONL, a table and gzip are told by their content; nothing stays behind", async () => {
    const source = (line: number) => ({ file: "standard input", line });
    expect(await piped(`\n${lines("one")}`)).toEqual({
      read: { format: "jsonl", rows: [{ row: { kind: "text", text: "one" }, form: "text", source: source(2) }] },
      left: [],
    });
    expect((await piped("prompt\tcompletion\na\tb\n")).read).toMatchObject({ format: "csv", rows: [{ source: source(2) }] });
    expect((await piped(gzipSync(lines("one")))).read).toMatchObject({ format: "jsonl", rows: [{ row: { text: "one" } }] });
    expect((await piped('{"x":1}\n')).read).toMatchObject({ message: expect.stringMatching(/^standard input:1: expected the keys/) });
    expect((await piped("")).read).toEqual({ message: "standard input: is empty; expected rows in JSONL, JSON, CSV or Parquet." });
  });
});
