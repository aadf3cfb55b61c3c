import { type Command, Option } from "commander";
import { flagName, infoOf, type OptionInfo, onCommandLine } from "../workflows/options.js";
import type { Shape } from "../workflows/parse-options.js";

/** Gives a command one flag (or argument) per option of a shape, in the shape's order. */
export function addFlags(command: Command, shape: Shape): void {
  for (const name of Object.keys(shape)) {
    const info = infoOf(shape, name);
    // Optional for commander, so that a missing one is reported together with all other problems.
    if (info.positional) command.argument(`[${info.value}]`, sentence(info));
    else command.addOption(flag(name, info));
  }
}

function flag(name: string, info: OptionInfo): Option {
  if (info.kind === "switch") {
    return new Option(onCommandLine(name, info), sentence(info)).helpGroup(`${info.group}:`);
  }
  const option = new Option(`${flagName(name)} <${info.value}>`, sentence(info)).helpGroup(`${info.group}:`);
  if (info.kind === "texts") return option.argParser((text, previous: readonly string[] | undefined) => [...(previous ?? []), text]);
  return option.argParser((text) => fromText(text, info.kind));
}

/** The help sentence followed by unit and default. */
export function sentence(info: OptionInfo): string {
  const named = info.unit === undefined || info.help.includes(info.unit) || info.help.includes(info.unit.slice(0, -1));
  const details = [named ? "" : `in ${info.unit}`, defaultInWords(info)].filter((each) => each !== "");
  return details.length === 0 ? info.help : `${info.help} (${details.join("; ")})`;
}

/** "default: 16", "required", or nothing where there is nothing to say. */
function defaultInWords(info: OptionInfo): string {
  if (info.required) return "required";
  if (info.without !== undefined) return `default: ${info.without}`;
  if (info.kind === "switch") return info.default === true ? "on; this flag turns it off" : "";
  return info.default === undefined ? "" : `default: ${String(info.default)}`;
}

/** The record of what was written on the command line, and only that: defaults belong to the schema. */
export function givenFlags(command: Command, shape: Shape): Record<string, unknown> {
  const given: Record<string, unknown> = {};
  let position = 0;
  for (const name of Object.keys(shape)) {
    const value = infoOf(shape, name).positional
      ? command.args[position++]
      : command.getOptionValueSource(name) === "cli"
        ? command.getOptionValue(name)
        : undefined;
    if (value !== undefined) given[name] = value;
  }
  return given;
}

/** Reads a flag's text by its kind; what cannot be read stays text, and the schema then says what was expected. */
function fromText(text: string, kind: OptionInfo["kind"]): unknown {
  if (kind === "integer" || kind === "number") return numberFrom(text);
  if (kind === "numbers") return text.split(",").map(numberFrom);
  return text;
}

function numberFrom(text: string): number | string {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : text;
}
