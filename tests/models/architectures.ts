/** Folders of tests/golden, one for each architecture, that keep the contract: a line here and in tests/golden/architectures.py. */
export const architectures = [
  "llama",
  "mistral",
  "qwen2",
  "qwen2-window",
  "qwen3",
  "qwen3-yarn",
  "smollm3",
  "phi3",
  "phi3-long",
  "gpt2",
  "gemma2",
  "gemma3_text",
];

/** Those of encoders: a line here and in tests/golden/encoders.py. */
export const encoders = ["bert", "roberta", "modernbert"];
