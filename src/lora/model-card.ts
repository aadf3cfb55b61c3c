import type { Adapter } from "./adapter.js";

/** A name that the Hub accepts as a model: `owner/name` or `name`; a local path or a file is none. */
const HUB_ID = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/;

/** README.md of an adapter's folder: the header that the Hub reads, what the adapter is, and how to load it. */
export function modelCard({ config, layers }: Adapter): string {
  const base = config.baseModel;
  const hubBase = base !== undefined && HUB_ID.test(base) && !base.endsWith(".gguf") ? base : undefined;
  const parameters = layers.reduce((sum, layer) => sum + layer.a.length + layer.b.length, 0);
  const targets = typeof config.targetModules === "string" ? [config.targetModules] : config.targetModules;
  return `${[
    "---",
    ...(hubBase === undefined ? [] : [`base_model: ${hubBase}`]),
    "library_name: peft",
    "pipeline_tag: text-generation",
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
    "## Use it",
    "",
    "In Python:",
    "",
    "```python",
    "from peft import PeftModel",
    "from transformers import AutoModelForCausalLM",
    "",
    `base = AutoModelForCausalLM.from_pretrained(${JSON.stringify(hubBase ?? "path/to/the/base/model")})`,
    'model = PeftModel.from_pretrained(base, "path/to/this/folder")',
    "```",
    "",
    "With Lorikeet:",
    "",
    "```sh",
    `lorikeet generate --model ${hubBase ?? "MODEL"} --adapter path/to/this/folder --prompt "…"`,
    "```",
  ].join("\n")}\n`;
}

function scaleWords(scales: readonly number[]): string {
  const distinct = [...new Set(scales)];
  return distinct.length === 1 ? String(distinct[0]) : "differs by layer";
}
