import { describe, expect, it } from "vitest";
import { InputError } from "../../src/errors.js";
import { memorySource } from "../../src/weights/byte-source.js";
import { readSlabs } from "../../src/weights/checkpoint.js";
import { readGguf, readRawGguf } from "../../src/weights/gguf.js";
import { huggingFaceName, llamaNames } from "../../src/weights/gguf-architectures/parts/tensor-names.js";
import { openGguf } from "../../src/weights/node/open-checkpoint.js";
import { concat, ggufBytes, type TestTensor, u64, value } from "./gguf-bytes.js";
import { golden, goldenFolder, sha256 } from "./golden.js";

const tiny = () => openGguf(`${goldenFolder}/tiny-llama.gguf`);

describe("reading GGUF", () => {
  it("reads a file that the gguf package wrote: names, shapes, values, q and k in Hugging Face's order", async () => {
    const { checkpoint } = await tiny();
    expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(golden.model.tensors).sort());
    for (const [name, { type, shape, sha256: expected }] of Object.entries(golden.model.tensors)) {
      const tensor = checkpoint.tensors.get(name)!;
      expect([name, tensor.type, tensor.shape]).toEqual([name, type, shape]);
      expect([name, sha256(await checkpoint.readFloat32(name))]).toEqual([name, expected]);
    }
  });

  it("gives the same values whatever the size of a slab", async () => {
    const { checkpoint } = await tiny();
    for (const name of ["model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"]) {
      const slabs: number[] = [];
      for await (const slab of readSlabs(checkpoint.tensors.get(name)!, 100)) slabs.push(...slab);
      expect(sha256(Float32Array.from(slabs))).toBe(golden.model.tensors[name]?.sha256);
    }
  });

  it("finds Llama 3's rotary scaling again from the divisors that transformers computes", async () => {
    const { config } = await tiny();
    expect(config).toMatchObject({
      model_type: "llama",
      hidden_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 32,
      intermediate_size: 96,
      vocab_size: 40,
      rms_norm_eps: 1e-5,
      rope_theta: 500000,
      rope_scaling: {
        rope_type: "llama3",
        factor: 32,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
      max_position_embeddings: 131072,
      tie_word_embeddings: false,
      bos_token_id: 1,
      eos_token_id: 2,
    });
  });

  it("keeps a token that is a byte order mark, and 64-bit numbers exact", async () => {
    const { metadata } = await tiny();
    expect((metadata["tokenizer.ggml.tokens"] as string[]).slice(0, 4)).toEqual(["\uFEFF", "<s>", "</s>", "token0"]);
    expect(metadata["lorikeet.large"]).toBe(2n ** 63n + 1n);
  });

  it("reads the last string of an array whole where it crosses two million bytes", async () => {
    const strings = [
      "x".repeat(1_999_900),
      "the last string crosses the end of the library's first read and must not be cut short".repeat(3),
    ];
    const { metadata } = await readRawGguf(memorySource("f", ggufBytes({ keys: [["s", value.strings(strings)]] })));
    expect(metadata.s).toEqual(strings);
  });

  it("names tensors", () => {
    expect(huggingFaceName(llamaNames, "blk.12.attn_k.bias")).toBe("model.layers.12.self_attn.k_proj.bias");
    expect(huggingFaceName(llamaNames, "output.weight")).toBe("lm_head.weight");
    for (const name of ["blk.1.output.weight", "attn_q.weight", "blk.1.constructor.weight", "token_embd.scale"]) {
      expect(huggingFaceName(llamaNames, name)).toBeUndefined();
    }
  });
});

const llama: [string, Uint8Array][] = [
  ["general.architecture", value.string("llama")],
  ["llama.attention.head_count", value.u32(2)],
];
const tensor = (change: Partial<TestTensor> = {}): TestTensor => ({ name: "token_embd.weight", dims: [8, 4], offset: 0, ...change });

describe("damaged GGUF", () => {
  const data = new Uint8Array(256);
  const cases: [string, Uint8Array, string][] = [
    ["empty", new Uint8Array(0), "it ends after 0 bytes"],
    ["another format", new Uint8Array(64), "letters GGUF"],
    ["version 1", ggufBytes({ version: 1 }), "GGUF version 1"],
    ["big-endian", ggufBytes({ version: 0x03000000 }), "(or big-endian)"],
    ["absurd tensor count", ggufBytes({ tensorCount: 2n ** 62n }), "tensors; at most 100000 are read"],
    ["tensor count beyond the file", ggufBytes({ tensorCount: 50_000 }), "it claims 50000 tensors, more than the file has room for"],
    ["absurd key count", ggufBytes({ keyCount: 2n ** 63n }), "metadata entries; at most"],
    ["key count beyond the file", ggufBytes({ keyCount: 9999 }), "more than the file has room for"],
    ["key cut short", ggufBytes({ keys: llama }).subarray(0, 90), "inside its header"],
    ["unknown value type", ggufBytes({ keys: [["k", value.type(77)]] }), "unknown value type 77"],
    ["key twice", ggufBytes({ keys: [...llama, ...llama] }), "stands twice"],
    ["key __proto__", ggufBytes({ keys: [["__proto__", value.string("x")]] }), "is not allowed"],
    ["key not UTF-8", ggufBytes({ keys: [[new Uint8Array([0xff, 0xfe]), value.u32(1)]] }), "a metadata key is not UTF-8"],
    ["value not UTF-8", ggufBytes({ keys: [["k", value.string(new Uint8Array([0xc3]))]] }), "the value of k is not UTF-8"],
    ["absurd string", ggufBytes({ keys: [["k", value.raw(value.type(8), u64(2n ** 60n))]] }), "the value of k would be"],
    ["absurd array", ggufBytes({ keys: [["k", value.raw(value.type(9), value.type(4), u64(2n ** 60n))]] }), "elements of k; at most"],
    [
      "array beyond the file",
      ggufBytes({ keys: [["k", value.raw(value.type(9), value.type(4), u64(999_999))]] }),
      "more than the file has room for",
    ],
    [
      "nested arrays",
      ggufBytes({ keys: [["k", concat([value.type(9), ...Array.from({ length: 9 }, () => concat([value.type(9), u64(1)]))])]] }),
      "nests arrays more than 2 deep",
    ],
    [
      "tensor twice",
      ggufBytes({ keys: llama, tensors: [tensor(), tensor({ offset: 128 })], data }),
      'tensor "token_embd.weight" stands twice',
    ],
    ["five dimensions", ggufBytes({ keys: llama, tensors: [tensor({ dims: [1, 1, 1, 1, 1] })], data }), "has 5 dimensions"],
    ["absurd dimension", ggufBytes({ keys: llama, tensors: [tensor({ dims: [2n ** 63n] })], data }), "has a dimension of 922337203685477"],
    ["absurd shape", ggufBytes({ keys: llama, tensors: [tensor({ dims: [2 ** 30, 2 ** 30] })], data }), "impossible shape"],
    [
      "rows of no whole blocks",
      ggufBytes({ keys: llama, tensors: [tensor({ dims: [16, 2], type: 2 })], data }),
      "impossible shape [2, 16] for Q4_0",
    ],
    ["type that is not read", ggufBytes({ keys: llama, tensors: [tensor({ type: 16 })], data }), "such as token_embd.weight (IQ2_XXS)"],
    ["offset off the alignment", ggufBytes({ keys: llama, tensors: [tensor({ offset: 4 })], data }), "no multiple of the alignment 32"],
    ["absurd offset", ggufBytes({ keys: llama, tensors: [tensor({ offset: 2n ** 63n })], data }), "no multiple of the alignment"],
    ["cut short", ggufBytes({ keys: llama, tensors: [tensor({ dims: [8, 16] })], data }), "It is cut short"],
    [
      "overlap",
      ggufBytes({ keys: llama, tensors: [tensor(), tensor({ name: "output.weight", offset: 96 })], data }),
      "overlaps another tensor's",
    ],
    ["odd alignment", ggufBytes({ keys: [["general.alignment", value.u32(48)]] }), "expected a power of two"],
    [
      "another architecture",
      ggufBytes({ keys: [["general.architecture", value.string("mistral3")]] }),
      'the architecture "mistral3" is not supported in a GGUF. Supported are: llama (Llama, Mistral, SmolLM2, TinyLlama), qwen2 (Qwen 2, Qwen 2.5)',
    ],
    [
      "an adapter",
      ggufBytes({ keys: [...llama, ["general.type", value.string("adapter")]] }),
      'holds no model: its general.type is "adapter"',
    ],
    ["experts", ggufBytes({ keys: [...llama, ["llama.expert_count", value.u32(8)]] }), "a mixture of experts"],
    [
      "one part of several",
      ggufBytes({ keys: [...llama, ["split.count", value.u32(3)]] }),
      "is one of 3 parts of a model. Keep them in one folder",
    ],
    ["no heads", ggufBytes({ keys: llama.slice(0, 1) }), "the metadata lack llama.attention.head_count"],
    [
      "foreign tensor",
      ggufBytes({ keys: llama, tensors: [tensor({ name: "blk.0.ssm_in.weight" })], data }),
      "not part of a model of architecture llama, such as blk.0.ssm_in",
    ],
    [
      "odd heads",
      ggufBytes({ keys: llama, tensors: [tensor({ name: "blk.0.attn_q.weight", dims: [8, 6] })], data }),
      "which 2 heads of an even size cannot share",
    ],
  ];
  it.each(cases)("%s", async (_, bytes, message) => {
    const failure = await readGguf(memorySource("model.gguf", bytes)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect((failure as Error).message).toContain(message);
  });

  it("says which entry of the configuration is missing or wrong", async () => {
    const keys: [string, Uint8Array][] = [...llama, ["llama.embedding_length", value.f32(0.5)]];
    const read = (bytes: Uint8Array) => readGguf(memorySource("model.gguf", bytes));
    await expect(read(ggufBytes({ keys, tensors: [tensor()], data }))).rejects.toThrow(
      "model.gguf: llama.embedding_length is 0.5; expected a whole number",
    );
    const whole: [string, Uint8Array][] = ["block_count", "embedding_length", "feed_forward_length"].map((key) => [
      `llama.${key}`,
      value.u32(8),
    ]);
    await expect(read(ggufBytes({ keys: [...llama, ...whole] }))).rejects.toThrow("token_embd.weight is missing");
  });
});
