import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { InputError } from "../../src/errors.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { readGgufText } from "../../src/text/from-gguf.js";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import { renderChat } from "../../src/text/template.js";
import type { Message } from "../../src/text/tokenizer.js";
import { tokenizerFiles } from "../../src/text/tokenizer-files.js";
import { LossProgram } from "../../src/training/loss-program.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { describeModel, openModel } from "../../src/workflows/node/open-model.js";
import { relativeError } from "../support/compare.js";
import { golden } from "../support/golden.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "./support.js";

interface Facts {
  readonly texts: readonly string[];
  readonly ids: readonly number[][];
  readonly messages: readonly Message[];
  readonly text: string;
  readonly conversation: readonly number[];
  readonly adapted: { readonly nll: readonly number[] };
}
const facts = golden<Facts>("tiny-chat/golden.json");
const adapter = join(TINY_CHAT, "adapter");

/** The loss of every token of the golden conversation. */
async function losses(model: string): Promise<Float32Array> {
  const { model: graph, compile } = await openModel(model, { target: "cpu" });
  const program = await LossProgram.compile(nodeEngine, { model: graph, maxTokens: 64 }, compile);
  const batch = buildBatch([{ ids: Int32Array.from(facts.conversation), supervised: new Uint8Array(facts.conversation.length).fill(1) }]);
  const found = (await program.run(batch, new Float32Array())).slice();
  await program.release();
  return found;
}

describe.each([
  ["a folder", TINY_CHAT],
  ["a GGUF", join(TINY_CHAT, "tiny-chat.gguf")],
])("merged from %s", (_, model) => {
  test("a whole model: the losses of base and adapter in PEFT, the base's ids and template", async () => {
    const out = join(await temporaryFolder(), "merged");
    const context = fakeContext();
    const result = await runMerge({ model, adapter, out }, context);
    expect(result).toMatchObject({ out, layers: 14, notes: [] });
    expect(result.files).toEqual((await readdir(out)).sort());
    expect(result.files).toEqual(expect.arrayContaining(["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]));
    expect(context.events.at(-1)).toMatchObject({ task: "merging", unit: "bytes" });
    expect(relativeError(await losses(out), Float32Array.from(facts.adapted.nll))).toBeLessThan(1e-5);

    const codec = await loadTextFromFolder(out);
    expect(facts.texts.map((text) => codec.encode(text))).toEqual(facts.ids);
    expect(renderChat(codec, facts.messages)).toBe(facts.text);
    const base = await loadTextFromFolder(TINY_CHAT);
    for (const key of ["endOfTurnIds", "startIds", "endOfTextId", "chatTemplate", "namedTokens", "vocabSize"] as const)
      expect(codec[key], key).toEqual(base[key]);
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toMatchObject({ model_type: "llama", dtype: "float32" });
  });
});

test("the files of a SentencePiece GGUF give the same text again", async () => {
  const { metadata, texts, ids } = golden<{ metadata: Record<string, unknown>; texts: string[]; ids: number[][] }>(
    "text/sentencepiece.json",
  );
  const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}</s>{% endfor %}";
  const complete = { ...metadata, "tokenizer.chat_template": template, "tokenizer.chat_template.tool_use": `${template} ` };
  const folder = await temporaryFolder();
  for (const [name, content] of Object.entries(tokenizerFiles(complete))) await writeFile(join(folder, name), JSON.stringify(content));
  const codec = await loadTextFromFolder(folder);
  const { settings } = readGgufText(complete);
  expect(texts.map((text) => codec.encode(text, { special: false }))).toEqual(ids);
  expect(codec).toMatchObject({ startIds: [1], endOfTurnIds: [2], namedTokens: settings.namedTokens });
  expect([codec.chatTemplate, codec.toolTemplate]).toEqual([template, `${template} `]);
});

test("what does not fit, and a folder that is not empty, are refused before anything is written", async () => {
  const out = await temporaryFolder();
  await writeFile(join(out, "mine.txt"), "");
  const other = join(TINY_CHAT, "../tiny-llama3/adapter");
  await expect(runMerge({ model: TINY_CHAT, adapter, out }, fakeContext())).rejects.toThrow(/is not empty/);
  await expect(runMerge({ model: TINY_CHAT, adapter: other, out: join(out, "new") }, fakeContext())).rejects.toBeInstanceOf(InputError);
  await expect(runMerge({ model: TINY_CHAT, adapter: out, out: join(out, "new") }, fakeContext())).rejects.toThrow(/holds no adapter/);
  expect(await readdir(out)).toEqual(["mine.txt"]);
});

test("an aborted merge leaves nothing behind", async () => {
  const folder = await temporaryFolder();
  const merging = runMerge({ model: TINY_CHAT, adapter, out: join(folder, "merged") }, fakeContext(AbortSignal.abort(new Error("enough"))));
  await expect(merging).rejects.toThrow("enough");
  expect(await readdir(folder)).toEqual([]);
});

test.each([
  ["bf16", "merged"],
  ["q8_0", "merged.gguf"],
] as const)("what rounding to %s does is measured as the written file shows it", async (dtype, name) => {
  const folder = await temporaryFolder();
  const exact = await runMerge({ model: TINY_CHAT, adapter, dtype: "f32", out: join(folder, "exact") }, fakeContext());
  expect(exact.rounding).toMatchObject({ ofWeights: 0, ofChange: 0, arrived: 1 });
  const out = join(folder, name);
  const { rounding } = await runMerge({ model: TINY_CHAT, adapter, dtype, out }, fakeContext());
  const [base, whole, rounded] = await Promise.all([TINY_CHAT, join(folder, "exact"), out].map((place) => describeModel(place)));
  const all = async ({ checkpoint, model }: NonNullable<typeof base>) => {
    const layers = await Promise.all(model.linearGroups.flat().map((layer) => checkpoint.readFloat32(`${layer.name}.weight`)));
    return Float32Array.from(layers.flatMap((values) => [...values]));
  };
  const [before, merged, written] = [await all(base!), await all(whole!), await all(rounded!)];
  const length = (values: Float32Array) => Math.hypot(...values);
  const error = length(written.map((value, at) => value - merged[at]!));
  expect(rounding.ofWeights / (error / length(merged))).toBeCloseTo(1, 4);
  expect(rounding.ofChange / (error / length(merged.map((value, at) => value - before[at]!)))).toBeCloseTo(1, 4);
});
