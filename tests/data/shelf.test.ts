import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Shelf, shelveExamples } from "../../src/data/node/shelf.js";
import { firstOf, select } from "../../src/data/series.js";
import { testOnSmallDisk } from "../support/small-disk.js";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lorikeet-shelf-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const PURPOSE = "rows that do not fit into memory";

/** Values of many kinds, among them those that JSON does not keep. */
const values = Array.from({ length: 500 }, (_, index) => ({
  text: `${"wort ".repeat(index % 90)}🐦 \ud800 ${index}`,
  ids: Int32Array.from({ length: index % 7 }, (_, at) => at - index),
  weights: Float32Array.of(0.1 * index, -0, Number.NaN),
  nothing: undefined,
  row: { deep: [null, { kind: "words" }] },
}));

describe.each([
  ["in memory", undefined],
  ["in a file", 0],
  ["in both, and then in a file", 20_000],
])("values %s", (_where, memoryBytes) => {
  test("come back as they were, in any order, also while more are put down", () => {
    const shelf = new Shelf<(typeof values)[number]>(PURPOSE, memoryBytes);
    for (const [index, value] of values.entries()) {
      shelf.push(value);
      const earlier = (index * 31) % (index + 1);
      expect(shelf.at(earlier)).toStrictEqual(values[earlier]);
    }
    expect(shelf.length).toBe(values.length);
    expect([...shelf]).toStrictEqual(values);
    expect([shelf.at(-1), shelf.at(values.length), shelf.at(Number.NaN)]).toEqual([undefined, undefined, undefined]);
    expect([...select(shelf, Int32Array.of(7, 499, 7))]).toStrictEqual([values[7], values[499], values[7]]);
    expect(firstOf(shelf, 2)).toStrictEqual(values.slice(0, 2));
    shelf.clear();
    expect([...shelf]).toEqual([]);
  });

  test("are not changed by who reads them", () => {
    const shelf = new Shelf<{ ids: Int32Array }>(PURPOSE, memoryBytes);
    shelf.push({ ids: Int32Array.of(1, 2, 3) });
    shelf.at(0)?.ids.fill(9);
    expect(shelf.at(0)).toEqual({ ids: Int32Array.of(1, 2, 3) });
  });

  test("examples take their row from the rows", () => {
    const rows = new Shelf<{ text: string }>(PURPOSE, memoryBytes);
    for (const text of ["a", "b", "c"]) rows.push({ text });
    type Example = { ids: Int32Array; row: string; source: number };
    const examples = shelveExamples<Example, { text: string }>(rows, ({ text }) => ({ row: text, source: text.length }), memoryBytes);
    examples.push({ ids: Int32Array.of(5), row: "?", source: 0 }, 2);
    expect({ ...examples.series.at(0) }).toEqual({ ids: Int32Array.of(5), row: "c", source: 1 });
  });
});

/** A program of Node's, with what it imports. */
async function program(name: string, contents: string): Promise<string> {
  const outfile = join(scratch, name);
  const banner = { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);` };
  const stdin = { contents, resolveDir: process.cwd() };
  await build({ stdin, bundle: true, platform: "node", format: "esm", banner, outfile, logLevel: "silent" });
  return outfile;
}

describe("the temporary file", () => {
  test.skipIf(process.platform === "win32")("has no name and no other reader", async () => {
    const folder = join(scratch, "empty");
    await mkdir(folder);
    const path = await program(
      "nameless.mjs",
      `import { fstatSync, readdirSync } from "node:fs";
      import { openTemporaryFile } from "./src/data/node/temporary-file.ts";
      const { descriptor, write } = openTemporaryFile("rows");
      write(new Uint8Array(5));
      const { nlink, mode, size } = fstatSync(descriptor);
      console.log(JSON.stringify({ nlink, mode: mode & 0o777, size, names: readdirSync(process.env.TMPDIR) }));`,
    );
    const output = execFileSync(process.execPath, [path], { env: { ...process.env, TMPDIR: folder }, encoding: "utf8" });
    expect(JSON.parse(output)).toEqual({ nlink: 0, mode: 0o600, size: 5, names: [] });
  });

  test("in a folder that takes none is an error in words, also where there is no such folder", async () => {
    const file = join(scratch, "file");
    await writeFile(file, "");
    const path = await program(
      "unwritable.mjs",
      `import { openTemporaryFile } from "./src/data/node/temporary-file.ts";
      try { openTemporaryFile("the rows"); } catch ({ name, message }) { console.log(name, message); }`,
    );
    const said = (folder: string) => execFileSync(process.execPath, [path], { env: { ...process.env, TMPDIR: folder }, encoding: "utf8" });
    expect(said(join(scratch, "mistyped"))).toMatch(/mistyped: the rows cannot be kept there .* \(ENOENT/);
    const output = said(join(file, "below"));
    expect(output).toMatch(
      /^RunError .*below: the rows cannot be kept there for as long as the run lasts \(ENOTDIR.*name another folder with/,
    );
  });

  testOnSmallDisk("that no longer fits is an error in words, and leaves nothing", async (run, code) => {
    const path = await program(
      "full.mjs",
      `import { readdirSync } from "node:fs";
      process.env.TMPDIR = process.argv[2];
      const { Shelf } = await import("./src/data/node/shelf.ts");
      const shelf = new Shelf("rows", 1000);
      let error;
      try { for (let row = 0; row < 1000; row++) shelf.push("x".repeat(5000)); } catch (reason) { error = reason; }
      console.log(JSON.stringify({ name: error?.name, message: error?.message, code: error?.cause?.code, left: readdirSync(process.argv[2]) }));`,
    );
    const found = JSON.parse(run(path)) as Record<string, unknown>;
    expect(found).toMatchObject({ name: "RunError", code, left: [] });
    expect(found.message).toMatch(
      /: rows cannot be kept there for as long as the run lasts \(.*\)\. Free some room, or name another folder/,
    );
  });
});

test("a packed file of 300 MB of rows is read with 40 MB of objects, and less memory than its size", async () => {
  const folder = join(scratch, "large");
  await mkdir(folder);
  const path = await program(
    "large.mjs",
    `import { createWriteStream } from "node:fs";
    import { pipeline } from "node:stream/promises";
    import { createGzip } from "node:zlib";
    import { readRowsInto } from "./src/data/node/read-rows.ts";
    import { Shelf } from "./src/data/node/shelf.ts";
    import { recogniseRow } from "./src/data/recognise.ts";
    const file = process.env.TMPDIR + "/rows.jsonl.gz";
    const text = "a line of words ".repeat(1250);
    async function* lines() { for (let row = 0; row < 15000; row++) yield JSON.stringify({ text: row + " " + text }) + "\\n"; }
    await pipeline(lines, createGzip({ level: 1 }), createWriteStream(file));
    const { rows } = await readRowsInto(new Shelf("rows"), file, recogniseRow);
    let right = 0, bytes = 0, index = 0;
    for (const { row, source } of rows) {
      if (row.text === index + " " + text && source.line === ++index) right++;
      bytes += row.text.length;
    }
    console.log(JSON.stringify({ right, bytes, peak: process.resourceUsage().maxRSS * 1024 }));`,
  );
  const argv = ["--max-old-space-size=40", path];
  const found = JSON.parse(execFileSync(process.execPath, argv, { env: { ...process.env, TMPDIR: folder }, encoding: "utf8" })) as {
    right: number;
    bytes: number;
    peak: number;
  };
  expect(found.right).toBe(15_000);
  expect(found.bytes).toBeGreaterThan(300e6);
  expect(found.peak).toBeLessThan(found.bytes);
});
