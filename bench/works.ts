import { join } from "node:path";
import { type Example, encodeRows } from "../src/data/example.js";
import { readRows } from "../src/data/node/read-rows.js";
import type { TextCodec } from "../src/text/tokenizer.js";
import { cutIntoBatches, type FileBatch, padIntoBatches } from "./batch-file.js";

/** A work to be timed: where its batches come from. */
export interface Work {
  readonly name: string;
  readonly description: string;
  batches(root: string, codec: TextCodec): Promise<FileBatch[]>;
}

const DEMO_BATCH_SIZE = 8;
/** Enough for every length that the data has; a longer run begins anew. */
const DEMO_BATCHES = 24;
/** No row of the works is longer than a model takes. */
const MAX_LENGTH = 1024;

export const works: readonly Work[] = [
  {
    name: "train-256",
    description: "plain text, batches of 4 rows of 256 tokens, every token learned",
    async batches(root, codec) {
      const examples = await readExamples(join(root, "assets/probe/general.jsonl"), codec, Number.POSITIVE_INFINITY);
      return cutIntoBatches(
        examples.flatMap(({ ids }) => [...ids]),
        256,
        4,
      );
    },
  },
  {
    name: "train-demo",
    description: "the demo's conversations, batches of 8 of unequal lengths, only the answers learned",
    async batches(root, codec) {
      const examples = await readExamples(join(root, "assets/demo/cron-train.jsonl"), codec, DEMO_BATCHES * DEMO_BATCH_SIZE);
      return padIntoBatches(examples, DEMO_BATCH_SIZE);
    },
  },
];

async function readExamples(file: string, codec: TextCodec, count: number): Promise<readonly Example[]> {
  const { rows } = await readRows(file);
  return encodeRows(codec, rows.slice(0, count), { maxLength: MAX_LENGTH }).examples;
}
