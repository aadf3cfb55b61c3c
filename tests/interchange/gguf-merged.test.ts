import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { writeGguf } from "../../src/interchange/gguf/node/write-gguf.js";
import { type GgufModelFile, ggufOfFolder } from "../../src/interchange/gguf/write-model.js";
import { readLanguageModel } from "../../src/models/index.js";
import { buildCheckpoint } from "../../src/weights/checkpoint.js";
import { openGguf, openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { relativeError } from "../support/compare.js";
import { randomAdapter } from "../support/gguf-adapter.js";
import { ggufGolden, ggufPath } from "../support/gguf-golden.js";
import { anyVocabulary, firstText, folderNames, mergedFolder, mergedGguf, textLengths } from "../support/gguf-merged.js";
import { golden, goldenPath } from "../support/golden.js";
import { floats } from "../weights/golden.js";

// Merged models as GGUF. llama.cpp computed its logits from these very files: their digests are in the golden.

interface Judged {
  readonly sha256: string;
  /** Logits after the last tokens. */
  readonly llamaCpp: string;
}
const { adapted, peft } = golden<{
  adapted: Record<string, { readonly gguf: Judged; readonly folder: Judged }>;
  peft: Record<string, Judged>;
}>("gguf/merged.json");
const apart = golden<Record<string, { readonly llamaCpp: string }>>("gguf/adapters.json");

/** As for adapters: what the library promises, and llama.cpp's table of GELU in half precision. */
const TOLERANCE = 1e-5;
const GELU_TABLE = 2e-3;

const folder = mkdtempSync(join(tmpdir(), "lorikeet-gguf-merged-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function written(name: string, { entries, tensors }: GgufModelFile): Promise<{ path: string; sha256: string }> {
  const path = join(folder, `${name}.gguf`);
  await writeGguf(path, entries, tensors);
  return { path, sha256: createHash("sha256").update(readFileSync(path)).digest("hex") };
}

// Proves gguf-model out: llama.cpp's logits are those of base and adapter apart, for every decoder
describe.each(Object.keys(adapted))("%s with an adapter folded in", (name) => {
  test.each(["gguf", "folder"] as const)("as GGUF, from a %s: llama.cpp's logits are those of base and adapter apart", async (base) => {
    const { [base]: file } = await mergedGguf(name, ggufPath(name));
    const { path, sha256 } = await written(`${name}-${base}`, file);
    const judged = adapted[name]?.[base];
    expect(sha256).toBe(judged?.sha256);
    const logits = floats(judged?.llamaCpp ?? "");
    const expected = floats(apart[name]?.llamaCpp ?? "").slice(-logits.length);
    expect(relativeError(logits, expected)).toBeLessThan(/^gemma|gpt2/.test(name) ? GELU_TABLE : TOLERANCE);
    // and read back, the same model
    const { config, checkpoint } = await openGguf(path);
    const original = (await openGguf(ggufPath(name))).config;
    expect(config).toMatchObject(original);
    expect([...readLanguageModel(config).weights.keys()].every((weight) => checkpoint.tensors.has(weight))).toBe(true);
  });
});

test.each(folderNames)("%s in safetensors with PEFT's adapter, as GGUF: llama.cpp's logits are PEFT's", async (name) => {
  const { sha256 } = await written(name, await mergedFolder(goldenPath(name)));
  expect(sha256).toBe(peft[name]?.sha256);
  const logits = floats(peft[name]?.llamaCpp ?? "");
  const length = firstText(goldenPath(name)).slice(0, textLengths[name]).length;
  const all = await (await openSafetensorsFile(goldenPath(`${name}/golden.safetensors`))).readFloat32("adapted.logits");
  const vocabulary = readLanguageModel(golden(`${name}/config.json`)).dimensions.vocabulary;
  expect(relativeError(logits, all.subarray(length * vocabulary - logits.length, length * vocabulary))).toBeLessThan(TOLERANCE);
});

test("a model of several parts is the file of its decoder", async () => {
  const { config, checkpoint } = await openGguf(ggufPath("gemma3"));
  const nested = { model_type: "gemma3", text_config: config, tie_word_embeddings: true };
  const model = readLanguageModel(nested);
  const rename = (name: string) => name.replace(/^model\./, "model.language_model.");
  const tensors = new Map([...checkpoint.tensors].map(([name, tensor]) => [rename(name), { ...tensor, name: rename(name) }]));
  const plain = randomAdapter(readLanguageModel(config));
  const adapter = { ...plain, layers: plain.layers.map((layer) => ({ ...layer, name: rename(layer.name) })) };
  const source = { model, checkpoint: buildCheckpoint(tensors), adapter, type: "F32" } as const;
  const { sha256 } = await written("nested", ggufOfFolder(source, nested, anyVocabulary(ggufGolden.ids.length * 4), "tiny"));
  expect(sha256).toBe(adapted.gemma3?.folder.sha256);
});

describe("refused is what llama.cpp would compute otherwise, with the way out:", () => {
  const refusal = async (name: string) => {
    const found: unknown = await mergedFolder(goldenPath(name)).catch((error: unknown) => error);
    return found instanceof Error ? found.message.split("\n") : [];
  };

  test.each([
    ["smollm3", ["- its blocks without rotary embedding are not every fourth"]],
    ["qwen3", ["- llama.cpp has no place for the biases of model.layers.0.self_attn.o_proj.bias"]],
    ["gemma3", ["- its blocks without a sliding window are not each 6th", "- its attention scores are divided by √4"]],
  ])("%s of the goldens", async (name, problems) => {
    const [head, ...lines] = await refusal(name);
    expect(head).toBe("The model cannot be a GGUF:");
    for (const [index, problem] of problems.entries()) expect(lines[index]).toContain(problem);
    expect(lines.at(-1)).toBe("Write a folder instead, which holds everything: leave out --to gguf and give --out a name without .gguf.");
  });
});

test("windows that llama.cpp does not know bound the texts, and the person is told", async () => {
  const { notes, entries } = await mergedFolder(goldenPath("mistral"));
  expect(notes).toEqual([
    "llama.cpp has no sliding window for a model of type mistral: the file is for texts of up to 5 tokens, where the window shows all there is.",
  ]);
  expect(entries.find(([key]) => key === "llama.context_length")?.[1]).toEqual({ type: "uint32", value: 5 });
});

test("in Q8_0 vectors are F32, and rows that are no whole blocks F16", async () => {
  const { tensors } = await mergedFolder(goldenPath("tiny-llama3"), "Q8_0");
  const types = new Map(tensors.map(({ name, type, shape }) => [name, `${type} ${shape.at(-1)}`]));
  expect(types.get("blk.0.attn_norm.weight")).toMatch(/^F32/);
  for (const [name, found] of types) {
    if (name.includes("norm") || name.startsWith("rope")) continue;
    expect(found, name).toMatch(Number(found.split(" ")[1]) % 32 === 0 ? /^Q8_0/ : /^F16/);
  }
});
