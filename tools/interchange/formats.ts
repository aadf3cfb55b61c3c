/** A form in which something comes in or goes out, and how. */
export interface Format {
  /** What the tests that prove it call it: `// Proves ID in: …`. */
  readonly id: string;
  readonly what: string;
  /** Whose form it is. */
  readonly tool: string;
  /** How it comes in, and how it goes out; a way that is missing is not there. */
  readonly in?: string;
  readonly out?: string;
}

export interface FormatGroup {
  readonly title: string;
  readonly formats: readonly Format[];
}

/** The rows of the table in docs/interchange.md, of which the tests tell what proves them. */
export const formatGroups: readonly FormatGroup[] = [
  {
    title: "Adapters",
    formats: [
      { id: "peft-adapter", what: "adapter folder", tool: "PEFT", in: "`--adapter DIR`", out: "`lorikeet train`" },
      { id: "peft-bin", what: "old `adapter_model.bin`", tool: "PEFT", in: "`--adapter DIR`" },
      { id: "gguf-adapter", what: "GGUF adapter", tool: "llama.cpp", in: "`--adapter FILE.gguf`", out: "`lorikeet export --to gguf`" },
      {
        id: "modelfile",
        what: "Modelfile",
        tool: "Ollama",
        out: "`lorikeet export --to gguf`, `lorikeet merge --to gguf`, with a folder as `--out`",
      },
      { id: "mlx-adapter", what: "adapter folder (LoRA, DoRA)", tool: "mlx-lm", in: "`--adapter DIR`", out: "`lorikeet export --to mlx`" },
      {
        id: "loralib",
        what: "checkpoint of `lora_state_dict` (`.pt`, `.bin`, `.ckpt`)",
        tool: "loralib, the paper's code",
        in: "`lorikeet convert FILE --model MODEL --alpha N`",
      },
      {
        id: "hub-adapter",
        what: "adapter on the Hub",
        tool: "Hugging Face Hub",
        in: "`--adapter org/name`, `org/name@revision`, `org/name/folder`",
        out: "`lorikeet push`, with a card",
      },
    ],
  },
  {
    title: "Models",
    formats: [
      { id: "folder", what: "folder with safetensors, sharded too", tool: "transformers", in: "`--model DIR`", out: "`lorikeet merge`" },
      {
        id: "gguf-model",
        what: "GGUF model, F32 to 4 bits",
        tool: "llama.cpp",
        in: "`--model FILE.gguf`",
        out: "`lorikeet merge --to gguf`",
      },
      {
        id: "onnx-folder",
        what: "ONNX folder, f32, q8 and q4",
        tool: "transformers.js",
        out: "`lorikeet merge --to onnx`",
      },
      {
        id: "sentence-model",
        what: "sentence encoder",
        tool: "sentence-transformers",
        in: "`--model DIR`, `--model org/name`",
        out: "`lorikeet train --task embedding`",
      },
      {
        id: "hub-model",
        what: "model on the Hub: public, gated, private",
        tool: "Hugging Face Hub",
        in: "`--model org/name`, `lorikeet pull`",
      },
      {
        id: "merged-model",
        what: "merged folder or GGUF, back to its base",
        tool: "Lorikeet",
        in: "`lorikeet unmerge` ([how](adapters.md#merge-and-take-it-out-again))",
      },
    ],
  },
  {
    title: "Data",
    formats: [
      { id: "jsonl", what: "JSONL, JSON", tool: "datasets, TRL", in: "`--data FILE`" },
      { id: "csv", what: "CSV, TSV", tool: "spreadsheets", in: "`--data FILE`" },
      { id: "parquet", what: "Parquet", tool: "pyarrow, datasets", in: "`--data FILE.parquet`" },
      { id: "gzip", what: "any of these packed by gzip", tool: "gzip", in: "`--data FILE.gz`" },
      { id: "data-folder", what: "a folder of such files", tool: "", in: "`--data DIR`" },
      { id: "standard-input", what: "standard input", tool: "pipes", in: "`--data -`" },
      {
        id: "hub-data",
        what: "data set on the Hub",
        tool: "Hugging Face Hub",
        in: "`--data org/name:split`, `--data hf://datasets/org/name/FILE` ([how](train-on-your-data.md#five-forms-of-rows))",
      },
    ],
  },
  {
    title: "Runs and configurations",
    formats: [
      { id: "run", what: "`run.yaml`", tool: "Lorikeet, editors", in: "`lorikeet train --config RUN/run.yaml`", out: "`lorikeet train`" },
      { id: "peft-config", what: "`adapter_config.json` as a configuration", tool: "PEFT", in: "`lorikeet import --peft`" },
      { id: "trl-config", what: "SFTConfig as YAML or JSON", tool: "TRL", in: "`lorikeet import --trl`" },
      { id: "trl-program", what: "a run as a Python program", tool: "TRL", out: "`lorikeet eject --to trl`" },
    ],
  },
];
