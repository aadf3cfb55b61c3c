import { describe, expect, test } from "vitest";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import { golden, goldenPath } from "../support/golden.js";

interface Kind {
  ids: number[][];
  decoded: string[];
  skipped: string[];
}

const { texts } = golden<{ texts: string[] }>("text/tokenizers/texts.json");
const kinds = [
  "bert",
  "bert-cased",
  "cl100k",
  "gemma3",
  "llama2",
  "llama3",
  "modernbert",
  "o200k",
  "phi3",
  "prefix-space",
  "qwen3",
  "roberta",
  "unigram",
  "unigram-bytes",
];

describe("tokenizers of every kind equal Python's tokenizers", () => {
  test.each(kinds)("%s: ids and decodings", async (kind) => {
    const expected = golden<Kind>(`text/tokenizers/${kind}.json`);
    const codec = await loadTextFromFolder(goldenPath(`text/tokenizers/${kind}`));
    texts.forEach((text, index) => {
      const ids = expected.ids[index] ?? [];
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids });
      expect({ text, decoded: codec.decode(ids) }).toEqual({ text, decoded: expected.decoded[index] });
      expect({ text, decoded: codec.decode(ids, { skipSpecial: true }) }).toEqual({ text, decoded: expected.skipped[index] });
    });
  });
});
