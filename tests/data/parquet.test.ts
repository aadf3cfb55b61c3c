import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Located } from "../../src/data/json-lines.js";
import { decodeParquet } from "../../src/data/node/parquet/decode.js";
import type * as reader from "../../src/data/node/parquet/rows.js";
import type * as rowReader from "../../src/data/node/read-rows.js";
import { memorySource } from "../../src/weights/byte-source.js";
import { FileByteSource } from "../../src/weights/node/file-byte-source.js";

const golden = "tests/golden/parquet";
/** What pyarrow reads of each file. */
let expected: Record<string, Record<string, unknown>[]>;
let folder = "";
/** Built, so that the thread that decodes can be started: in a folder where its program lies beside them. */
let parquetRows: typeof reader.parquetRows;
let readRows: typeof rowReader.readRows;
beforeAll(async () => {
  expected = JSON.parse(await readFile(join(golden, "rows.json"), "utf8"));
  folder = await mkdtemp(join(tmpdir(), "lorikeet-parquet-"));
  const built = async (entry: string): Promise<unknown> => {
    const outfile = join(folder, `${entry.split("/").at(-1)}.js`);
    await build({ entryPoints: [`src/data/node/${entry}.ts`], bundle: true, platform: "node", format: "esm", outfile, logLevel: "silent" });
    return entry === "parquet/decoder" ? undefined : await import(/* @vite-ignore */ pathToFileURL(outfile).href);
  };
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await built("parquet/decoder");
  ({ parquetRows } = (await built("parquet/rows")) as typeof reader);
  ({ readRows } = (await built("read-rows")) as typeof rowReader);
});
afterAll(() => rm(folder, { recursive: true }));

async function gather(rows: AsyncIterable<Located>): Promise<Located[]> {
  const all: Located[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

const errorOf = (rows: Promise<unknown>): Promise<unknown> =>
  rows.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

// Proves parquet in: the rows that pyarrow reads, in every compression and nesting
describe("Parquet", () => {
  test.each([
    "plain-uncompressed",
    "plain-snappy-groups",
    "plain-gzip",
    "plain-zstd",
    "plain-brotli",
    "plain-lz4",
    "plain-delta",
    "chats-snappy",
    "chats-zstd-groups",
    "empty",
  ])("%s has pyarrow's rows, each with its number", async (name) => {
    const rows = await gather(decodeParquet(await FileByteSource.open(join(golden, `${name}.parquet`))));
    // pyarrow's number beyond 2^53 stands in JSON as digits, which JSON.parse rounds; here it is decimal text.
    const asRead = expected[name]?.map((row) => (row.id === 2 ** 60 ? { ...row, id: String(2n ** 60n) } : row));
    expect(rows.map((row) => ("value" in row ? row.value : row))).toEqual(asRead);
    expect(rows.map(({ line }) => line)).toEqual(rows.map((_, index) => index + 1));
    const path = resolve(golden, `${name}.parquet`);
    expect(await gather(parquetRows({ name: path, path }))).toEqual(rows);
  });

  test("rows are recognised; a bad one is named by its number", async () => {
    await expect(readRows(join(golden, "plain-snappy-groups.parquet"))).rejects.toMatchObject({
      name: "InputError",
      message: expect.stringMatching(
        /^tests\/golden\/parquet\/plain-snappy-groups\.parquet:4: expected "completion" to be a string, found null/,
      ),
    });
    const unnamed = join(folder, "rows");
    await writeFile(unnamed, await readFile(join(golden, "chats-snappy.parquet")));
    await expect(readRows(unnamed)).rejects.toThrow(/rows:4: "messages"\[1\]: expected "content" to be a string, found null\n.*rows:6: /s);
  });

  test("files that are none, cut short, or packed", async () => {
    const whole = await readFile(join(golden, "chats-snappy.parquet"));
    const messages = [whole.subarray(0, 700), gzipSync(whole), new Uint8Array(), whole.subarray(-200)].map((bytes) =>
      errorOf(gather(decodeParquet(memorySource("f.parquet", bytes)))),
    );
    expect((await Promise.all(messages)).map((error) => (error as Error).message)).toEqual([
      "f.parquet: is a damaged Parquet file, or one that cannot be read (it does not end with PAR1). Fetch it again, or write it as JSONL.",
      "f.parquet: is not a Parquet file: it does not begin with PAR1.",
      "f.parquet: is not a Parquet file: it does not begin with PAR1.",
      "f.parquet: is not a Parquet file: it does not begin with PAR1.",
    ]);
  });

  // Of two billion levels, which do not come to an end, and of as many as fill the memory in one step, with which V8 ends a process.
  test.each([
    { run: [0xfe, 0xff, 0xff, 0xff, 0x0f], patience: 4 },
    { run: [0x80, 0x9c, 0xb9, 0x72, 0x00], patience: 40 },
  ])("a run length without end is given up, and the process with it", async ({ run, patience }) => {
    const whole = new Uint8Array(await readFile(join(golden, "plain-uncompressed.parquet")));
    const path = join(folder, "endless.parquet");
    whole.set(run, 53);
    await writeFile(path, whole);
    await expect(gather(parquetRows({ name: path, path }, patience))).rejects.toThrow(
      /endless\.parquet: is a damaged Parquet file, or one that cannot be read \((one of its pages does not come to an end|it unpacks to more than memory holds)\)\. Fetch it again, or write it as JSONL\./,
    );
  });
});
