import type { Adapter, TaskType } from "./adapter.js";
import { parameterCount } from "./peft-tensors.js";

/** What the Hub and transformers call a task, and the command that uses an adapter of it. */
const uses: Readonly<Record<TaskType, { readonly pipeline: string; readonly autoClass: string; readonly command: string }>> = {
  CAUSAL_LM: { pipeline: "text-generation", autoClass: "AutoModelForCausalLM", command: 'generate --prompt "…"' },
  SEQ_CLS: { pipeline: "text-classification", autoClass: "AutoModelForSequenceClassification", command: 'classify "…"' },
  TOKEN_CLS: { pipeline: "token-classification", autoClass: "AutoModelForTokenClassification", command: 'classify "…"' },
  FEATURE_EXTRACTION: { pipeline: "sentence-similarity", autoClass: "AutoModel", command: 'embed --text "…"' },
};

/** A name that the Hub accepts as a model: `owner/name` or `name`; a local path or a file is none. */
const HUB_ID = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/;

/** What a card says beside the adapter itself. */
export interface CardContext {
  /** Where the adapter is found: a name on the Hub. */
  readonly place?: string;
  /** Lines of Markdown on its training, behind what the adapter is. */
  readonly sections?: readonly string[];
}

/** README.md of an adapter's folder: the header that the Hub reads, what the adapter is, and how to load it. */
export function modelCard(adapter: Adapter, { place = "path/to/this/folder", sections = [] }: CardContext = {}): string {
  const { config, layers, trained = [], labelling } = adapter;
  const base = config.baseModel;
  const hubBase = base !== undefined && HUB_ID.test(base) && !base.endsWith(".gguf") ? base : undefined;
  const parameters = parameterCount(adapter);
  const { pipeline, autoClass, command } = uses[config.taskType];
  const targets = typeof config.targetModules === "string" ? [config.targetModules] : config.targetModules;
  return `${[
    "---",
    ...(hubBase === undefined ? [] : [`base_model: ${hubBase}`]),
    "library_name: peft",
    `pipeline_tag: ${pipeline}`,
    "tags:",
    ...(hubBase === undefined ? [] : [`- base_model:adapter:${hubBase}`]),
    "- lora",
    "- lorikeet",
    "- transformers",
    "---",
    "",
    "# LoRA adapter",
    "",
    `A LoRA adapter${base === undefined ? "" : ` for \`${base}\``}, trained with Lorikeet.`,
    "",
    `| rank | alpha | ${config.rankStabilised ? "scale" : "alpha / rank"} | dropout | adapted layers | parameters |`,
    "|---|---|---|---|---|---|",
    `| ${config.rank} | ${config.alpha} | ${scaleWords(layers.map((layer) => layer.scale))} | ${config.dropout} | ${layers.length} (${targets.map((name) => `\`${name}\``).join(", ")}) | ${parameters} |`,
    "",
    ...labelWords(labelling, trained),
    ...sections,
    "## Use it",
    "",
    "In Python:",
    "",
    "```python",
    "from peft import PeftModel",
    `from transformers import ${autoClass}`,
    "",
    `base = ${autoClass}.from_pretrained(${[JSON.stringify(hubBase ?? "path/to/the/base/model"), ...labelArguments(labelling)].join(", ")})`,
    `model = PeftModel.from_pretrained(base, ${JSON.stringify(place)})`,
    "```",
    "",
    "With Lorikeet:",
    "",
    "```sh",
    `lorikeet ${command.replace(" ", ` --model ${hubBase ?? "MODEL"} --adapter ${place} `)}`,
    "```",
  ].join("\n")}\n`;
}

/** What the head is and what its outputs stand for. */
function labelWords(labelling: Adapter["labelling"], trained: NonNullable<Adapter["trained"]>): string[] {
  if (trained.length === 0) return [];
  const head = `Beside it a head is trained whole: ${trained.map(({ name }) => `\`${name}\``).join(", ")}.`;
  if (labelling === undefined) return [head, ""];
  if (labelling.task === "regression") return [`${head} Its output is a number.`, ""];
  return [`${head} Its outputs are: ${labelling.labels.map((label, index) => `${index} ${JSON.stringify(label)}`).join(", ")}.`, ""];
}

/** Arguments that give a model a head of the same outputs in transformers. */
function labelArguments(labelling: Adapter["labelling"]): string[] {
  if (labelling === undefined) return [];
  if (labelling.task === "regression") return ["num_labels=1"];
  return [`id2label={${labelling.labels.map((label, index) => `${index}: ${JSON.stringify(label)}`).join(", ")}}`];
}

function scaleWords(scales: readonly number[]): string {
  const distinct = [...new Set(scales)];
  return distinct.length === 1 ? String(distinct[0]) : "differs by layer";
}
