import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { readLanguageModel, readModel } from "../../src/models/index.js";
import { readPartialRotary, readRotary, rotaryFrequencies, rotaryShare, rotaryTables } from "../../src/models/parts/rotary-tables.js";
import { largestDifference } from "../support/compare.js";
import { golden } from "../support/golden.js";

const config = {
  model_type: "llama",
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 96,
};

describe("config.json", () => {
  test.each([
    ["another architecture", { model_type: "lama" }, 'the architecture "lama" is not supported. Supported are: llama,'],
    [
      "a missing field",
      { hidden_size: undefined },
      '"hidden_size" must be a whole number from 1 to 100000000, found nothing. Is the checkpoint complete?',
    ],
    ["a fraction", { num_hidden_layers: 1.5 }, '"num_hidden_layers" must be a whole number from 1 to 1024, found 1.5'],
    ["an absurd count", { vocab_size: 1e12 }, '"vocab_size" must be a whole number from 1 to 100000000, found 1000000000000'],
    ["a model of a million layers", { num_hidden_layers: 1e6 }, '"num_hidden_layers" must be a whole number from 1 to 1024, found 1000000'],
    [
      "a context without end",
      { max_position_embeddings: 1e8 },
      '"max_position_embeddings" must be a whole number from 1 to 16777216, found 100000000',
    ],
    [
      "a window without end",
      { model_type: "mistral", sliding_window: 1e8 },
      '"sliding_window" must be a whole number from 1 to 16777216, found 100000000',
    ],
    [
      "layer types of another number",
      { model_type: "qwen2", layer_types: ["full_attention"] },
      '"layer_types" names 1 layers, "num_hidden_layers" is 2',
    ],
    [
      "a layer of another type",
      { model_type: "qwen3", layer_types: ["full_attention", "chunked_attention"] },
      '"layer_types" holds "chunked_attention"; supported are "full_attention" and "sliding_attention"',
    ],
    [
      "a window without its size",
      { model_type: "qwen2", layer_types: ["full_attention", "sliding_attention"] },
      '"layer_types" holds "sliding_attention", but the model has no "sliding_window"',
    ],
    ["positions for a layer too few", { model_type: "smollm3", no_rope_layers: [1] }, '"no_rope_layers" must list 2 numbers'],
    ["another activation", { hidden_act: "gelu" }, '"hidden_act" is "gelu"; a model of type llama has "silu"'],
    ["heads that share unevenly", { num_key_value_heads: 3 }, "4 heads cannot share 3 key-value heads evenly"],
    ["an odd head", { head_dim: 7 }, "head size 7 is odd"],
    [
      "another rope",
      { rope_scaling: { rope_type: "ntk" } },
      'rope type "ntk" is not supported; supported are default, linear, dynamic, llama3, yarn and longrope',
    ],
    [
      "a rope of Phi-3 alone",
      { rope_scaling: { rope_type: "longrope", short_factor: [1], long_factor: [1] } },
      'rope type "longrope" is supported in models of type phi3 alone',
    ],
    [
      "a decoder without the causal mask",
      { is_causal: false },
      '"is_causal" is false; a llama whose tokens see later ones is not supported',
    ],
    ["a Gemma without it", { model_type: "gemma2", is_causal: false }, '"is_causal" is false; a gemma2 whose tokens see later ones'],
    ["a GPT-2 without it", { model_type: "gpt2", is_causal: false }, '"is_causal" is false; a gpt2 whose tokens see later ones'],
    [
      "a quantised checkpoint",
      { quantization_config: { quant_method: "gptq", bits: 4 } },
      "the weights are quantised (gptq), which is not supported in safetensors. Take the model that they were made of",
    ],
    ["heads that turn in part", { partial_rotary_factor: 0.5 }, '"partial_rotary_factor" is 0.5; models of this type turn whole heads'],
    [
      "factors of another number",
      { model_type: "phi3", max_position_embeddings: 8192, rope_scaling: { type: "su", short_factor: [1], long_factor: [1, 2, 3, 4] } },
      '"short_factor" must be a list of 4 numbers above 0, found [1]',
    ],
    ["a rope without its factor", { rope_scaling: { type: "linear" } }, '"factor" must be a number above 0, found nothing'],
  ])("%s is refused", (_what, change, message) => {
    const read = () => readModel({ ...config, ...change });
    expect(read).toThrow(InputError);
    expect(read).toThrow(message);
  });

  test("defaults are those of the architecture", () => {
    const { dimensions, weights } = readModel(config);
    expect(dimensions).toEqual({ vocabulary: 96, hidden: 32, blocks: 2, heads: 4, kvHeads: 4, headSize: 8, maxPositions: 2048 });
    expect(weights.get("lm_head.weight")).toEqual([96, 32]); // untied
    expect(readModel({ ...config, tie_word_embeddings: true }).weights.has("lm_head.weight")).toBe(false);
  });

  test("a sliding window is no bound of the context", () => {
    const mistral = { ...config, model_type: "mistral", max_position_embeddings: 4096 };
    expect(readModel({ ...mistral, sliding_window: 1024 }).dimensions.maxPositions).toBe(4096);
  });

  test("a Llama lists every weight that its checkpoint holds, in the shape it has there", () => {
    const model = readModel(golden<Record<string, unknown>>("tiny-llama3/config.json"));
    const index = golden<{ weight_map: Record<string, string> }>("tiny-llama3/model.safetensors.index.json");
    expect([...model.weights.keys()].sort()).toEqual(Object.keys(index.weight_map).sort());
  });
});

describe("rotary frequencies", () => {
  const size = 8;
  const plain = [1, 10_000 ** -0.25, 10_000 ** -0.5, 10_000 ** -0.75].map(Math.fround);

  test("both spellings, with theta beside or inside the settings", () => {
    const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 };
    const older = readRotary({ rope_theta: 500_000, rope_scaling: llama3 });
    expect(readRotary({ rope_parameters: { ...llama3, rope_theta: 500_000 } })).toEqual(older);
    expect(readRotary({ rope_theta: 500_000, rope_scaling: null })).toEqual({ theta: 500_000, scaling: { kind: "none" } });
  });

  interface Stretched {
    readonly config: Readonly<Record<string, unknown>> & { readonly rope_parameters: Readonly<Record<string, unknown>> };
    readonly positions: number;
    readonly frequencies: readonly number[];
    readonly factor: number;
  }
  const stretched = golden<readonly Stretched[]>("rotary/frequencies.json");

  test.each(stretched)("of $config.rope_parameters are transformers', for $positions positions", ({ config: json, positions, ...want }) => {
    const turned = 2 * want.frequencies.length;
    const rotary = readPartialRotary(json, { size: turned });
    expect(rotaryShare(json)).toBe(turned / (Number(json.hidden_size) / 4));
    const frequencies = rotaryFrequencies(rotary, turned, positions);
    // To the bit, but that float32 powers are not all rounded alike.
    expect(
      largestDifference(
        frequencies.map((frequency, index) => frequency / want.frequencies[index]!),
        new Float32Array(turned / 2).fill(1),
      ),
    ).toBeLessThan(1.3e-7);
    expect(frequencies.filter((frequency, index) => frequency === want.frequencies[index]).length / frequencies.length).toBeGreaterThan(
      0.95,
    );
    expect(rotaryTables(rotary, turned, positions).cos[0]).toBeCloseTo(want.factor, 6); // position 0 turns by nothing
  });

  test("plain and linear", () => {
    const frequencies = (scaling: Parameters<typeof rotaryFrequencies>[0]["scaling"]) => [
      ...rotaryFrequencies({ theta: 10_000, scaling }, size, 1),
    ];
    expect(frequencies({ kind: "none" })).toEqual(plain);
    expect(frequencies({ kind: "linear", factor: 4 })).toEqual(plain.map((frequency) => frequency / 4));
  });

  test("tables hold the cosine and sine of position times frequency", () => {
    const { cos, sin } = rotaryTables({ theta: 10_000, scaling: { kind: "none" } }, size, 3);
    expect(cos.length).toBe(3 * 4);
    expect([...cos.subarray(0, 4), ...sin.subarray(0, 4)]).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    expect(cos[2 * 4 + 1]).toBeCloseTo(Math.cos(2 * plain[1]!), 7);
    expect(sin[2 * 4 + 1]).toBeCloseTo(Math.sin(2 * plain[1]!), 7);
  });
  test("tables that no program could hold are refused, and the longest context is named", () => {
    const rotary = { theta: 10_000, scaling: { kind: "none" } } as const;
    expect(() => rotaryTables(rotary, 128, 2 ** 20 + 1)).toThrow(InputError);
    expect(() => rotaryTables(rotary, 128, 2 ** 20 + 1)).toThrow(
      'The model is to run with 1048577 positions; with heads of 128, 1048576 is the most. Lower "max_position_embeddings"',
    );
  });
});

describe("the configuration of an encoder", () => {
  const bert = golden<Record<string, unknown>>("bert/config.json");

  test("is refused by name where text is to be written, with what it can do and what can write", () => {
    expect(readModel(bert).sight).toBe("both");
    expect(() => readLanguageModel(bert)).toThrow(
      'config.json: "bert" is an encoder: it reads texts and does not write any. It can classify (--task classification)',
    );
    expect(() => readLanguageModel(bert)).toThrow("choose a model that predicts the next token, such as smollm2-135m");
  });

  test.each([
    [{ position_embedding_type: "relative_key" }, '"position_embedding_type" is "relative_key"; supported is "absolute"'],
    [{ is_decoder: true }, '"is_decoder" is true; this architecture is supported as an encoder alone'],
    [{ num_attention_heads: 5 }, "5 heads cannot share 32 columns evenly"],
    [{ hidden_act: "relu" }, '"hidden_act" is "relu"; supported here are gelu'],
  ])("%j is refused", (change, message) => {
    expect(() => readModel({ ...bert, ...change })).toThrow(message);
  });

  test("RoBERTa's texts begin behind the row of the padding token", () => {
    const config = golden<Record<string, unknown>>("roberta/config.json");
    expect(readModel(config).dimensions.maxPositions).toBe(64 - 2);
    expect(() => readModel({ ...config, max_position_embeddings: 2 })).toThrow("texts begin at position 2");
  });

  test("ModernBERT pools by cls or mean", () => {
    const config = golden<Record<string, unknown>>("modernbert/config.json");
    expect(readModel(config).classificationHead("sequence", 2).reads).toBe("mean");
    expect(readModel({ ...config, classifier_pooling: "cls" }).classificationHead("sequence", 2).reads).toBe("first");
    expect(() => readModel({ ...config, classifier_pooling: "max" })).toThrow('"classifier_pooling" is "max"; supported are cls and mean');
  });
});
