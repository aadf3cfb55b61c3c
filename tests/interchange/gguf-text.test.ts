import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { encodeGgufHeader } from "../../src/interchange/gguf/header.js";
import { ggufTokenizer } from "../../src/interchange/gguf/write-tokenizer.js";
import { textFromGguf } from "../../src/text/from-gguf.js";
import { loadTextFromFolder, readFolderText } from "../../src/text/node/load.js";
import { openGguf } from "../../src/weights/node/open-checkpoint.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { tokenizerEntries, tokenizerKinds } from "../support/gguf-text.js";
import { golden, goldenPath } from "../support/golden.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "../workflows/support.js";

// Tokenizers and whole models as GGUF. llama.cpp tokenized and answered with these very files: their digests are in the golden.

interface Judged {
  readonly sha256: string;
  readonly ids: readonly (readonly number[])[];
  readonly answer: readonly number[];
  /** Of the logits, beside base and adapter apart. */
  readonly error: number;
}
const { tokenizers, chat } = golden<{
  tokenizers: Record<string, { readonly sha256: string; readonly others: readonly number[] }>;
  chat: Record<string, Judged> & { readonly apart: readonly number[] };
}>("gguf/text.json");
const facts = golden<{ ids: number[][]; adapted: { answer: number[] } }>("tiny-chat/golden.json");

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Texts of texts.json that llama.cpp reads otherwise than Python: it composes no marks (NFC), and has its own ways with spaces beside Phi-3's control tokens. */
const llamaCppsOwn: Readonly<Record<string, readonly number[]>> = { qwen3: [20, 32, 40, 56, 57], o200k: [9], phi3: [20] };

// Proves gguf-model out: llama.cpp's token ids are Python's
describe("a tokenizer's metadata", () => {
  test.each(tokenizerKinds)("of %s: llama.cpp gives Python's ids", async (kind) => {
    const entries = await tokenizerEntries(kind, goldenPath(`text/tokenizers/${kind}`));
    expect(sha256(encodeGgufHeader(entries, []).header)).toBe(tokenizers[kind]?.sha256);
    expect(tokenizers[kind]?.others).toEqual(llamaCppsOwn[kind] ?? []);
  });

  test("of a kind that GGUF has no name for is refused with the way out", async () => {
    const refused = async (kind: string) => ggufTokenizer(await readFolderText(goldenPath(`text/tokenizers/${kind}`)), 40_000);
    await expect(refused("unigram")).rejects.toThrow(
      "the tokenizer splits texts in a way that has no name in GGUF. Known there are byte-level BPE (gpt-2, smollm, llama-bpe, dbrx, qwen2, tekken, gpt-4o) and SentencePiece's BPE. Write a folder instead",
    );
    await expect(refused("prefix-space")).rejects.toThrow("has no name in GGUF");
    await expect(refused("bert")).rejects.toThrow("the tokenizer puts the tokens 101, 102 around a text");
  });
});

describe.each([
  ["folder", TINY_CHAT],
  ["gguf", join(TINY_CHAT, "tiny-chat.gguf")],
])("a chat model merged from a %s", (base, model) => {
  const adapter = join(TINY_CHAT, "adapter");

  // Proves gguf-model out: llama.cpp's greedy answer is that of base and adapter, in F32, F16 and Q8_0
  test.each(["f32", "f16", "q8_0"] as const)("in %s: llama.cpp gives the ids, and the answer of base and adapter", async (dtype) => {
    const judged = chat[`${base} ${dtype}`];
    if (judged === undefined) return expect(`${base} ${dtype}`).toBe("gguf f16");
    const out = join(await temporaryFolder(), "merged.gguf");
    const context = fakeContext();
    expect(await runMerge({ model, adapter, out, dtype }, context)).toMatchObject({ out, files: ["merged.gguf"], layers: 14, notes: [] });
    expect(context.events.at(-1)).toMatchObject({ task: "merging", unit: "bytes" });
    expect(sha256(readFileSync(out))).toBe(judged.sha256);
    expect(judged.ids).toEqual(facts.ids);
    expect(judged.answer).toEqual(chat.apart);
    expect(judged.answer).toEqual(facts.adapted.answer);
    expect(judged.error).toBeLessThan({ f32: 1e-5, f16: 3e-3, q8_0: 0.06 }[dtype]);
  });

  test("has the folder's template and tokens that end an answer", async () => {
    const out = join(await temporaryFolder(), "merged");
    expect((await runMerge({ model, adapter, out, to: "gguf" }, fakeContext())).files).toEqual(["Modelfile", "model.gguf"]);
    expect(await readFile(join(out, "Modelfile"), "utf8")).toBe(
      '# ollama create NAME -f Modelfile\nFROM ./model.gguf\nPARAMETER stop "<|im_end|>"\n',
    );
    const codec = textFromGguf((await openGguf(join(out, "model.gguf"))).metadata);
    const folder = await loadTextFromFolder(TINY_CHAT);
    for (const key of ["endOfTurnIds", "startIds", "endOfTextId", "chatTemplate", "namedTokens", "vocabSize"] as const)
      expect(codec[key], key).toEqual(folder[key]);
  });
});

test("nothing is written over, and an aborted merge leaves nothing behind", async () => {
  const folder = await temporaryFolder();
  const options = { model: TINY_CHAT, adapter: join(TINY_CHAT, "adapter"), out: join(folder, "mine.gguf") };
  await runMerge(options, fakeContext());
  await expect(runMerge(options, fakeContext())).rejects.toThrow(
    "mine.gguf exists already. Choose another name for the model, or remove it.",
  );
  const aborted = fakeContext(AbortSignal.abort(new Error("enough")));
  await expect(runMerge({ ...options, out: join(folder, "new.gguf") }, aborted)).rejects.toThrow("enough");
  await expect(runMerge({ ...options, out: join(folder, "new"), dtype: "q8_0" }, fakeContext())).rejects.toThrow(
    "options.dtype q8_0 is a form of GGUF: name options.out with .gguf, or choose f32, f16, bf16 or original",
  );
  expect(await readdir(folder)).toEqual(["mine.gguf"]);
});
