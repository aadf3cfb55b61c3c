import { join } from "node:path";
import { type Example, encodeRows } from "../../src/data/example.js";
import { readRows } from "../../src/data/node/read-rows.js";
import type { TextCodec } from "../../src/text/tokenizer.js";
import { cutIntoBatches, type FileBatch, padIntoBatches } from "../batch-file.js";

/** Longer than any row of the files. */
const MAX_LENGTH = 8192;

/** Ids of `count` tokens of plain text: the general texts, then the demo's rows, from the beginning again where more are wanted. */
export async function textIds(root: string, codec: TextCodec, count: number): Promise<number[]> {
  const ids: number[] = [];
  for (const file of ["assets/probe/general.jsonl", "assets/demo/cron-train.jsonl"]) {
    if (ids.length >= count) break;
    for (const example of await readExamples(join(root, file), codec, Number.POSITIVE_INFINITY)) ids.push(...example.ids);
  }
  return repeated(ids, count);
}

/** The first `count` of a sequence that begins anew at its end. */
export function repeated(ids: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, index) => ids[index % ids.length] ?? 0);
}

/** Batches of plain text, every token learned. */
export async function textBatches(root: string, codec: TextCodec, rows: number, tokens: number, count: number): Promise<FileBatch[]> {
  return cutIntoBatches(await textIds(root, codec, rows * tokens * count), tokens, rows);
}

/** Batches of the demo's conversations, only the answers learned. */
export async function demoBatches(root: string, codec: TextCodec, rows: number, count: number): Promise<FileBatch[]> {
  return padIntoBatches(await readExamples(join(root, "assets/demo/cron-train.jsonl"), codec, rows * count), rows);
}

async function readExamples(file: string, codec: TextCodec, count: number): Promise<readonly Example[]> {
  const { rows } = await readRows(file);
  return encodeRows(codec, rows.slice(0, count), { maxLength: MAX_LENGTH }).examples;
}
