import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import { InputError } from "../../src/errors.js";
import { ggufParts } from "../../src/hub/gguf-parts.js";
import { type ByteSource, memorySource } from "../../src/weights/byte-source.js";
import { readGguf } from "../../src/weights/gguf.js";
import { FileByteSource } from "../../src/weights/node/file-byte-source.js";
import { openGguf } from "../../src/weights/node/open-checkpoint.js";
import { ggufFacts, ggufNames, ggufPath } from "../support/gguf-golden.js";
import { ggufBytes, value } from "./gguf-bytes.js";
import { sha256 } from "./golden.js";

/** Fields that no GGUF has an entry for: of training, or with their defaults in every model. The rotary embedding is proven by logits. */
const notInFile = new Set(
  `rope_parameters initializer_range use_cache pretraining_tp attention_dropout resid_pdrop embd_pdrop attn_pdrop summary_type
  summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout scale_attn_weights scale_attn_by_inverse_layer_idx
  reorder_and_upcast_attn add_cross_attention use_bidirectional_attention attention_bias max_window_layers layer_types sliding_window`.split(
    /\s+/,
  ),
);

describe.each(ggufNames)("a GGUF of architecture %s", (name) => {
  const facts = ggufFacts(name);

  it("has transformers' weights: names, shapes, order of rows and values", async () => {
    const { checkpoint } = await openGguf(ggufPath(name));
    expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(facts.tensors).sort());
    for (const [tensor, { type, shape, sha256: expected }] of Object.entries(facts.tensors)) {
      const { type: storedType, shape: storedShape } = checkpoint.tensors.get(tensor)!;
      expect([tensor, storedType, storedShape]).toEqual([tensor, type, shape]);
      expect([tensor, sha256(await checkpoint.readFloat32(tensor))]).toEqual([tensor, expected]);
    }
  });

  it("has transformers' configuration", async () => {
    const { config } = await openGguf(ggufPath(name));
    for (const [field, expected] of Object.entries(facts.config)) {
      if (field in config || !notInFile.has(field)) expect({ [field]: config[field] }).toEqual({ [field]: expected });
    }
  });
});

describe("a model in several files", () => {
  const parts = ggufParts(ggufPath("qwen3-split-00002-of-00003"));

  it("is the model in one, whichever of its parts is named", async () => {
    expect(parts.map((part) => basename(part))).toEqual([1, 2, 3].map((part) => `qwen3-split-0000${part}-of-00003.gguf`));
    const [split, whole] = [await openGguf(...parts), await openGguf(ggufPath("qwen3"))];
    expect(split.config).toEqual(whole.config);
    expect([...split.checkpoint.tensors.keys()].sort()).toEqual([...whole.checkpoint.tensors.keys()].sort());
    for (const [tensor, { sha256: expected }] of Object.entries(ggufFacts("qwen3").tensors)) {
      expect([tensor, sha256(await split.checkpoint.readFloat32(tensor))]).toEqual([tensor, expected]);
    }
  });

  it("has only as many parts as its name says, and a name that says nothing is one file", () => {
    expect(ggufParts("model.gguf")).toEqual(["model.gguf"]);
    expect(ggufParts("model-00001-of-00000.gguf")).toEqual(["model-00001-of-00000.gguf"]);
    expect(ggufParts("model-00001-of-99999.gguf")).toEqual(["model-00001-of-99999.gguf"]);
  });

  it("is refused where parts are missing, in another order, or not of one model", async () => {
    const missing = ggufPath("qwen3-split-00004-of-00004");
    await expect(openGguf(parts[0], missing)).rejects.toThrow(`is in 2 files, of which these are missing: ${missing}. Fetch them`);
    const [first, second, third] = (await Promise.all(parts.map((part) => FileByteSource.open(part)))) as [
      FileByteSource,
      FileByteSource,
      FileByteSource,
    ];
    const cases: readonly (readonly [readonly [ByteSource, ...ByteSource[]], string])[] = [
      [[first], "is one of 3 parts of a model. Keep them in one folder under their names"],
      [[first, second], "is named as one of 2 parts of a model, but says that there are 3"],
      [[first, third, second], "says that it is part 2, not 1"],
      [[first, second, second], "says that it is part 1, not 2"],
    ];
    for (const [sources, message] of cases) {
      const failure = await readGguf(...sources).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(InputError);
      expect((failure as Error).message).toContain(message);
    }
  });
});

/** The configuration of a file that has these entries beside those of every model, with an embedding of 4 tokens. */
async function configOf(architecture: string, entries: Readonly<Record<string, Uint8Array>>): Promise<Readonly<Record<string, unknown>>> {
  const common = {
    block_count: value.u32(2),
    context_length: value.u32(64),
    embedding_length: value.u32(8),
    feed_forward_length: value.u32(16),
    "attention.head_count": value.u32(2),
  };
  const keys = Object.entries({ ...common, ...entries }).map(([key, encoded]) => [`${architecture}.${key}`, encoded] as const);
  const tensors = [{ name: "token_embd.weight", dims: [8, 4], offset: 0 }];
  const bytes = ggufBytes({
    keys: [["general.architecture", value.string(architecture)], ...keys],
    tensors,
    data: new Uint8Array(128),
  });
  return (await readGguf(memorySource("model.gguf", bytes))).config;
}

describe("the configuration of a GGUF", () => {
  it("is a Mistral's where the file has a window", async () => {
    expect(await configOf("llama", { "attention.sliding_window": value.u32(16) })).toMatchObject({
      model_type: "mistral",
      sliding_window: 16,
    });
  });

  it("has the scaling of the rotary embedding that llama.cpp takes it for", async () => {
    const scaling = async (entries: Readonly<Record<string, Uint8Array>>) => (await configOf("qwen2", entries)).rope_scaling;
    expect(await scaling({})).toBeNull();
    expect(await scaling({ "rope.scaling.factor": value.f32(4) })).toEqual({ rope_type: "linear", factor: 4 });
    expect(await scaling({ "rope.scale_linear": value.f32(2) })).toEqual({ rope_type: "linear", factor: 2 });
    expect(await scaling({ "rope.scaling.type": value.string("none"), "rope.scaling.factor": value.f32(4) })).toBeNull();
    const yarn = {
      "rope.scaling.type": value.string("yarn"),
      "rope.scaling.factor": value.f32(8),
      "rope.scaling.original_context_length": value.u32(32),
    };
    expect(await scaling({ ...yarn, "rope.scaling.yarn_log_multiplier": value.f32(1) })).toEqual({
      rope_type: "yarn",
      factor: 8,
      original_max_position_embeddings: 32,
      mscale: 1,
      mscale_all_dim: 1,
    });
    await expect(scaling({ "rope.scaling.type": value.string("longrope") })).rejects.toThrow(
      "model.gguf: the rotary embedding is LongRoPE's, but rope_factors_short.weight and rope_factors_long.weight are missing",
    );
    await expect(scaling({ "rope.scaling.type": value.string("spiral") })).rejects.toThrow(
      "model.gguf: qwen2.rope.scaling.type is spiral; expected none, linear, yarn or longrope.",
    );
  });

  it("knows which of Gemma's blocks have a window, and the scale of its scores", async () => {
    const blocks = value.u32(3);
    const kinds = async (entries: Readonly<Record<string, Uint8Array>>) =>
      (await configOf("gemma3", { block_count: blocks, ...entries })).layer_types;
    const [sliding, full] = ["sliding_attention", "full_attention"];
    const window = { "attention.sliding_window": value.u32(16) };
    expect(await kinds({})).toEqual([full, full, full]);
    expect(await kinds(window)).toEqual([sliding, sliding, sliding]);
    expect(await kinds({ ...window, "attention.sliding_window_pattern": value.u32(2) })).toEqual([sliding, full, sliding]);
    const stated = { ...window, "attention.sliding_window_pattern": value.flags([false, true, false]) };
    expect(await kinds(stated)).toEqual([full, sliding, full]);
    await expect(kinds({ ...stated, block_count: value.u32(4) })).rejects.toThrow(
      "model.gguf: gemma3.attention.sliding_window_pattern is false,true,false; expected true or false for each of 4 blocks.",
    );
    // Gemma 2 and 3 with 27 billion weights: hidden size 4608 and 5376, 32 heads of 128.
    for (const [architecture, count, hidden, scale] of [
      ["gemma2", 46, 4608, 144],
      ["gemma2", 42, 4608, 128],
      ["gemma3", 62, 5376, 168],
    ] as const) {
      const config = await configOf(architecture, {
        block_count: value.u32(count),
        embedding_length: value.u32(hidden),
        "attention.head_count": value.u32(32),
        "attention.key_length": value.u32(128),
      });
      expect(config.query_pre_attn_scalar).toBe(scale);
    }
  });

  it("names what is missing or beyond reason", async () => {
    await expect(configOf("phi3", { "rope.dimension_count": value.u32(6) })).rejects.toThrow(
      "model.gguf: phi3.rope.dimension_count is 6; expected a whole number from 1 to 4.",
    );
    await expect(configOf("smollm3", { block_count: value.u32(5000) })).rejects.toThrow(
      "model.gguf: smollm3.block_count is 5000; expected a whole number from 1 to 1024.",
    );
    await expect(configOf("qwen2", { "attention.head_count": value.u32(3) })).rejects.toThrow(
      "model.gguf: qwen2.attention.head_count is 3; expected a divisor of the embedding length, since there is no attention.key_length.",
    );
    await expect(configOf("qwen3", { expert_count: value.u32(128) })).rejects.toThrow(
      "model.gguf: qwen3.expert_count is 128; expected none: a mixture of experts cannot be fine-tuned here. Use a dense model.",
    );
    await expect(configOf("llama", { "attention.causal": value.flag(false) })).rejects.toThrow(
      "model.gguf: llama.attention.causal is false; expected true: a model that sees what comes later is not supported in a GGUF.",
    );
    await expect(configOf("llama", { logit_scale: value.f32(0.5) })).rejects.toThrow(
      "model.gguf: llama.logit_scale is 0.5; expected none: models that compute with it are not supported.",
    );
  });
});
