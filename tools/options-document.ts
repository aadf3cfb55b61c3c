import { commandOptions } from "../src/workflows/options/command-line.js";
import { infoOf, type OptionInfo, onCommandLine } from "../src/workflows/options.js";
import type { Shape } from "../src/workflows/parse-options.js";

/** docs/options.md, derived from the declarations of the options. */
export function optionsDocument(): string {
  const commands = Object.values(commandOptions).map(({ set, extra }) => commandSection(set.name, set.summary, set.shape, extra));
  return [introduction, ...commands].join("\n");
}

const introduction = `# Options

Every option of every command, made from the declarations in \`src/workflows/options/\` by \`tools/make-documents.ts\`.

The **name** is what a file of options (\`lorikeet train --config run.yaml\`) and the library use; the **flag** is for the command line.
A flag wins over the file. Options without a name belong to the terminal and have a flag alone.

\`\`\`yaml
# run.yaml
model: smollm2-135m
data: examples.jsonl
out: my-adapter
batchSize: 8
layers: [q_proj, v_proj]
report: false
\`\`\`
`;

function commandSection(name: string, summary: string, shape: Shape, extra: Shape): string {
  const rows = [
    ...Object.keys(shape).map((option) => row(option, infoOf(shape, option), true)),
    ...Object.keys(extra).map((option) => row(option, infoOf(extra, option), false)),
  ];
  const body = rows.length === 0 ? "It has no options.\n" : `${heading}\n${rows.join("\n")}\n`;
  return `## lorikeet ${name}\n\n${summary}\n\n${body}`;
}

const heading = "| flag | name | value | default | what it does, and when to change it |\n|---|---|---|---|---|";

function row(name: string, info: OptionInfo, named: boolean): string {
  const value = info.kind === "switch" ? "on or off" : info.unit === undefined ? info.expected : `${info.expected}; ${info.unit}`;
  const cells = [`\`${onCommandLine(name, info)}\``, named ? `\`${name}\`` : "", value, defaultText(info), info.help];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function defaultText(info: OptionInfo): string {
  if (info.required) return "required";
  if (info.without !== undefined) return info.without;
  if (info.kind === "switch") return info.default === true ? "on" : "off";
  return info.default === undefined ? "" : `\`${String(info.default)}\``;
}
