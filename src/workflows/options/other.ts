import { NORMALISER_NAMES } from "../../evaluation/exact-match.js";
import { choice, integer, option, text, texts, toggle } from "../option.js";
import { type OptionsOf, optionSet, type ValuesOf } from "../parse-options.js";
import {
  adapterFolder,
  batchSize,
  columns,
  dataFileWords,
  device,
  groups,
  heldOutTwice,
  holdingOut,
  machineShape,
  maxLength,
  maxNewTokens,
  model,
  overflow,
  seed,
  standardInputTwice,
  task,
  threads,
} from "./common.js";

export const evalSet = optionSet("eval", "Measure a model on a file, without and with an adapter side by side.", {
  model: model(),
  adapter: option(text(adapterFolder), {
    value: "DIR",
    group: groups.files,
    without: "the model alone is measured",
    help: "The adapter to compare with the model as it is.",
  }),
  data: option(text(dataFileWords), {
    required: true,
    value: "FILE",
    group: groups.files,
    help: "Examples to measure on, none of them trained on: a .jsonl, .json or .csv file (also .gz), a .parquet file, a folder of them, or - for standard input. Rows are those of the task that the adapter was trained for: answers, labels, or pairs.",
  }),
  limit: option(integer({ min: 1, max: 10_000_000 }), {
    value: "N",
    unit: "examples",
    group: groups.measuring,
    without: "all of them",
    help: "Measure on the first N examples only. Use it for a quick look; the intervals get wider.",
  }),
  normaliser: option(choice(NORMALISER_NAMES), {
    default: "whitespace",
    value: "NAME",
    group: groups.measuring,
    help: "What counts as an exact match: none compares every character, whitespace ignores runs of spaces, loose ignores capitals and punctuation as well.",
  }),
  general: option(toggle(), {
    default: true,
    group: groups.measuring,
    help: "Measure general ability as well, on questions that come with Lorikeet. Without it the command ends earlier.",
  }),
  maxNewTokens: maxNewTokens(),
  batchSize: batchSize("Examples that are scored together. Lower it if memory runs out."),
  maxLength: maxLength(),
  overflow: overflow(),
  columns: columns(),
  ...machineShape("answering"),
});

export const embedSet = optionSet("embed", "Turn texts into vectors: texts of like meaning have vectors of like direction.", {
  model: model(),
  adapter: option(text(adapterFolder), {
    value: "DIR",
    group: groups.files,
    without: "the model as it is",
    help: "An adapter to put beside the model, such as PEFT trains for sentence-transformers.",
  }),
  text: option(texts("a text"), {
    value: "TEXT",
    group: groups.files,
    without: "the texts of --data alone",
    help: "A text to embed; repeat it for several.",
  }),
  data: option(text(dataFileWords), {
    value: "FILE",
    group: groups.files,
    without: "the texts of --text alone",
    help: 'A file of rows with "text": a .jsonl, .json or .csv file.',
  }),
  columns: columns(),
  batchSize: batchSize("Texts that are embedded together. Lower it if memory runs out."),
  device: device(),
  threads: threads(),
});

export const dataSet = optionSet(
  "data",
  "Show how a file of examples is understood: format, mask, lengths, and what would be left out.",
  {
    data: option(text(dataFileWords), {
      required: true,
      positional: true,
      value: "FILE",
      group: groups.files,
      help: "The examples: a .jsonl, .json or .csv file (also .gz), a .parquet file, a folder of them, or - for standard input.",
    }),
    model: model(),
    valid: option(text(dataFileWords), {
      value: "FILE",
      group: groups.files,
      without: "a tenth of FILE is held out, 10 to 500 rows",
      help: "Examples that are never trained on, as for train.",
    }),
    task: task(groups.data),
    maxLength: maxLength(),
    overflow: overflow(),
    columns: columns(),
    ...holdingOut(),
    seed: seed(groups.data, "Start of the randomness that chooses the held-out rows."),
  },
  (given, where) => [...standardInputTwice(given, where), ...heldOutTwice(given, where)],
);

export const exportSet = optionSet(
  "export",
  "Write an adapter for other tools: a GGUF file for llama.cpp, with a Modelfile for Ollama, or a folder for mlx-lm.",
  {
    model: model(),
    adapter: option(text(adapterFolder), { required: true, value: "DIR", group: groups.files, help: "The adapter to write." }),
    to: option(choice(["gguf", "mlx"]), {
      required: true,
      value: "FORMAT",
      group: groups.files,
      help: "The form of the adapter: gguf, which llama.cpp, Ollama and LM Studio read, or mlx, a folder for mlx-lm on Apple's processors.",
    }),
    out: option(text("a folder, or a .gguf file"), {
      required: true,
      value: "PATH",
      group: groups.files,
      help: "What receives the adapter: a new folder (adapter.gguf and a Modelfile), or a .gguf file alone.",
    }),
  },
);

export const ejectSet = optionSet("eject", "Write a run out as a program of your own: the same training with TRL and PEFT, in Python.", {
  run: option(text("the folder of a run, or its run.yaml"), {
    required: true,
    positional: true,
    value: "RUN",
    group: groups.files,
    help: "The run to write out: its folder, or a file of options as run.yaml is one.",
  }),
  to: option(choice(["trl"]), {
    required: true,
    value: "TOOL",
    group: groups.files,
    help: "What the program uses: trl, the trainer of Hugging Face for language models.",
  }),
  out: option(text("a folder"), {
    required: true,
    value: "DIR",
    group: groups.files,
    help: "The new folder that receives the program, its rows as tokens, and the adapter before its first update.",
  }),
});

export const pushSet = optionSet(
  "push",
  "Upload an adapter to the Hub, with a card that says what it is, what it gained and lost, and what it took.",
  {
    adapter: option(text("the folder of a run, or of an adapter as PEFT saves it"), {
      required: true,
      positional: true,
      value: "DIR",
      group: groups.files,
      help: "The adapter to upload: the folder of a run, whose report is told in the card, or that of an adapter.",
    }),
    to: option(text("a name on the Hub, owner/name"), {
      required: true,
      value: "OWNER/NAME",
      group: groups.files,
      help: "The repository that receives it; it is made where it does not exist. HF_TOKEN is an access token that may write.",
    }),
    private: option(toggle(), {
      default: false,
      group: groups.files,
      help: "Make a new repository private: only you and your organisation see it.",
    }),
    message: option(text("a sentence"), {
      default: "Adapter trained with Lorikeet",
      value: "TEXT",
      group: groups.files,
      help: "The title of the commit.",
    }),
    dryRun: option(toggle(), {
      default: false,
      group: groups.output,
      help: "Show the card and the files that would be uploaded, and upload nothing.",
    }),
  },
);

const importShape = {
  peft: option(text("an adapter_config.json"), {
    value: "FILE",
    group: groups.files,
    help: "A configuration of PEFT: adapter_config.json of an adapter, or the fields of a LoraConfig as JSON or YAML.",
  }),
  trl: option(text("a .yaml or .json file"), {
    value: "FILE",
    group: groups.files,
    help: "A configuration of TRL, as `trl sft --config FILE` takes it, in YAML or JSON.",
  }),
  out: option(text("a .yaml file"), {
    required: true,
    value: "FILE",
    group: groups.files,
    help: "The file of options that is written, for `lorikeet train --config FILE`.",
  }),
};

export const importSet = optionSet(
  "import",
  "Make a file of options out of configurations of PEFT and TRL, and list what could not be carried over.",
  importShape,
  (given, where) => ("peft" in given || "trl" in given ? [] : [`${where("peft")} or ${where("trl")} is missing: expected a configuration`]),
);

export const inspectSet = optionSet("inspect", "Show what is inside an adapter: rank, strength, and how much each layer changed.", {
  directory: option(text(adapterFolder), {
    required: true,
    positional: true,
    value: "DIR",
    group: groups.files,
    help: "The adapter's folder.",
  }),
  with: option(text(adapterFolder), {
    value: "DIR",
    group: groups.files,
    without: "no comparison",
    help: "Another adapter of the same layers: how far the two changed the same directions (φ of the LoRA paper, section 7.2). Try two ranks, or two seeds.",
  }),
  model: option(text("an alias (smollm2-135m), a Hub id, a folder with config.json and safetensors, or a .gguf file"), {
    value: "MODEL",
    group: groups.files,
    without: "the adapter's matrices alone",
    help: "The model that the adapter is for: how much stronger the change is than the model's own weights in its directions (section 7.3).",
  }),
  html: option(text("a .html file"), {
    value: "FILE",
    group: groups.files,
    without: "no page",
    help: "Write it as a page too, with pictures that are explained in words; one file that needs no network.",
  }),
});

export const pullSet = optionSet("pull", "Download a model into the cache and print where it lies.", {
  model: option(text("an alias (smollm2-135m), a Hub id, a folder or a .gguf file"), {
    required: true,
    positional: true,
    value: "MODEL",
    group: groups.files,
    help: "The model to download: an alias (smollm2-135m) or a Hub id.",
  }),
});

export const doctorSet = optionSet("doctor", "Show what this machine can run, and how fast.", {});

export const cacheSet = optionSet("cache", "Show Lorikeet's cache of converted weights and its size, or empty it.", {
  action: option(choice(["show", "clear"]), {
    default: "show",
    positional: true,
    value: "ACTION",
    group: groups.files,
    help: "What to do: show, or clear to empty the cache; the next run converts again. Downloads from the Hub lie in the Hugging Face cache and stay.",
  }),
});

export const demoSet = optionSet("demo", "Teach a small model to write cron schedules from plain English, and show what it learned.", {
  quick: option(toggle(), {
    default: false,
    group: groups.training,
    help: "Train for a few minutes only. The result is weaker; use it to see that everything works.",
  }),
  out: option(text("a folder"), {
    default: "lorikeet-demo",
    value: "DIR",
    group: groups.files,
    help: "The folder that receives the adapter and the report.",
  }),
  threads: threads(),
});

export type EmbedOptions = OptionsOf<(typeof embedSet)["shape"]>;
export type EmbedSettings = ValuesOf<(typeof embedSet)["shape"]>;
export type EvaluateOptions = OptionsOf<(typeof evalSet)["shape"]>;
export type EvaluateSettings = ValuesOf<(typeof evalSet)["shape"]>;
export type DataOptions = OptionsOf<(typeof dataSet)["shape"]>;
export type DataSettings = ValuesOf<(typeof dataSet)["shape"]>;
export type ExportOptions = OptionsOf<(typeof exportSet)["shape"]>;
export type EjectOptions = OptionsOf<(typeof ejectSet)["shape"]>;
export type ImportOptions = OptionsOf<typeof importShape>;
export type InspectOptions = OptionsOf<(typeof inspectSet)["shape"]>;
export type PushOptions = OptionsOf<(typeof pushSet)["shape"]>;
export type ExportSettings = ValuesOf<(typeof exportSet)["shape"]>;
export type DemoOptions = OptionsOf<(typeof demoSet)["shape"]>;
export type DemoSettings = ValuesOf<(typeof demoSet)["shape"]>;
