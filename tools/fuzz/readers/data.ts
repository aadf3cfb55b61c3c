import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { recogniseLabelledText, recogniseTaggedWords } from "../../../src/data/labelled-row.js";
import { findDataFiles } from "../../../src/data/node/data-files.js";
import { parquetRows } from "../../../src/data/node/parquet/rows.js";
import { readRows, readRowsAs } from "../../../src/data/node/read-rows.js";
import { recognisePair } from "../../../src/data/pair.js";
import type { Reader, Seed } from "../input.js";
import { bytesOf, each, encoded, goldenFiles, ROOT } from "./seeds.js";

// Readers of rows.

/** A file without progress is given up after two seconds, as one of a user is after half a minute. */
const PARQUET_LOOKS = 8;

const parquet: Reader = {
  name: "parquet",
  seeds: async () =>
    each(
      "rows.parquet",
      goldenFiles().filter((path) => path.endsWith(".parquet")),
    ),
  async read(folder) {
    const [file] = await findDataFiles(folder);
    for await (const _ of parquetRows(file.place, PARQUET_LOOKS));
  },
};

const chat = {
  messages: [
    { role: "user", content: "Hi" },
    { role: "assistant", content: 'Hello, "you"' },
  ],
};
const pairs = [
  { prompt: "a", completion: "b\nc" },
  { prompt: "ä, 汉", completion: "d" },
];

const many = (rows: readonly object[], format: (rows: readonly object[]) => string): Uint8Array => encoded(format(rows));
const lines = (rows: readonly object[]) => `${rows.map((row) => JSON.stringify(row)).join("\n")}\n`;
const table = (rows: readonly object[], separator = ",") =>
  [
    Object.keys(rows[0] ?? {}),
    ...rows.map((row) => Object.values(row).map((cell) => JSON.stringify(cell).replaceAll('\\"', '""').replaceAll("\\n", "\n"))),
  ]
    .map((cells) => cells.join(separator))
    .join("\n");

const rows: Reader = {
  name: "rows",
  async seeds() {
    const files: Record<string, Uint8Array> = {
      "rows.jsonl": many([chat, chat, ...pairs, { text: "words" }], lines),
      "more.jsonl": bytesOf(join(ROOT, "assets/demo/cron-valid.jsonl")).slice(0, 4000),
      "rows.json": many(
        [
          chat,
          {
            conversations: [
              { from: "human", value: "x" },
              { from: "gpt", value: "y" },
            ],
          },
        ],
        (list) => JSON.stringify(list, null, 1),
      ),
      "rows.csv": many(pairs, table),
      "rows.tsv": many(pairs, (list) => table(list, "\t")),
      "alpaca.json": many([{ instruction: "Add", input: "1 2", output: "3" }], JSON.stringify),
    };
    files["more.jsonl"] = wholeLines(files["more.jsonl"] ?? new Uint8Array());
    const packed = ["rows.jsonl", "rows.csv"].map((name): [string, Uint8Array] => [
      `${name}.gz`,
      new Uint8Array(gzipSync(files[name] ?? new Uint8Array())),
    ]);
    return [...Object.entries(files), ...packed].map((file): Seed => new Map([file]));
  },
  read: (folder) => readRows(folder),
};

function wholeLines(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, bytes.lastIndexOf(10) + 1);
}

const labelled: Reader = {
  name: "labelled-rows",
  seeds: async () => [
    new Map([
      [
        "text.jsonl",
        many(
          [
            { text: "red", label: "a" },
            { text: "b", text_pair: "c", label: 1 },
          ],
          lines,
        ),
      ],
    ]),
    new Map([["words.jsonl", many([{ tokens: ["New", "York"], labels: ["B-LOC", "I-LOC"] }], lines)]]),
    new Map([["pairs.jsonl", many([{ anchor: "a", positive: "b", negative: "c" }], lines)]]),
    new Map([
      [
        "text.csv",
        many(
          [
            { text: "red", label: "a" },
            { text: "blue", label: "b" },
          ],
          table,
        ),
      ],
    ]),
  ],
  async read(folder) {
    const results = await Promise.allSettled([
      readRowsAs(folder, (value) => recogniseLabelledText(value)),
      readRowsAs(folder, (value) => recogniseTaggedWords(value)),
      readRowsAs(folder, recognisePair),
    ]);
    const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    const fault = failed.find((reason) => reason.name !== "InputError");
    if (fault !== undefined) throw fault;
    if (failed.length === results.length) throw failed[0];
  },
};

export const dataReaders: readonly Reader[] = [parquet, rows, labelled];
