import * as z from "zod";
import { type Columns, columnNames } from "../../data/columns.js";
import { choice, integer, number, option, text, toggle, type ValueKind } from "../option.js";

// What several workflows share: headings of help, and options that mean the same everywhere.

/** How the frozen weights are held and multiplied. A new form is one name here, and its words in `precision`. */
const precisions = ["auto", "fp32", "int8", "4bit"] as const;
/** A form in which frozen weights are held. */
export type Precision = Exclude<(typeof precisions)[number], "auto">;
const devices = ["auto", "cpu", "webgpu"] as const;

/** The headings under which help lists options, in the order of help. */
export const groups = {
  files: "Model and files",
  adapter: "Adapter",
  training: "Training",
  data: "Data",
  writing: "Text generation",
  measuring: "Measuring and saving",
  machine: "Machine",
  output: "Output",
} as const;

export const adapterFolder =
  "the folder of an adapter (PEFT's, mlx-lm's, or that of a run), a .gguf file of an adapter, or the name of an adapter on the Hub (org/name)";

export const dataFileWords =
  "a .jsonl, .json or .csv file (also .gz), a .parquet file, a folder of them, a data set of the Hub (org/name:split), or - for standard input";

/** What a file calls its columns: `prompt=question,completion=answer`. */
function columnsByName(): ValueKind<z.ZodType<Columns, string | Columns>> {
  const schema = z
    .union([z.string().trim().min(1), z.record(z.string().min(1), z.string().min(1))])
    .transform((value, context): Columns => {
      const pairs = typeof value === "string" ? value.split(",").map(pairOf) : Object.entries(value);
      const taken = new Set<string>();
      for (const [name, column] of pairs) {
        const problem = !columnNames.includes(name)
          ? `${JSON.stringify(name)} is none of ${columnNames.join(", ")}`
          : column === ""
            ? `${name} has no column`
            : taken.has(name)
              ? `${name} stands twice`
              : undefined;
        if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
        taken.add(name);
      }
      return Object.fromEntries(pairs);
    });
  return { kind: "columns", schema, expected: "names of columns, such as prompt=question,completion=answer" };
}

function pairOf(text: string): [name: string, column: string] {
  const at = text.indexOf("=");
  return at < 0 ? [text.trim(), ""] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

export const columns = () =>
  option(columnsByName(), {
    value: "NAMES",
    group: groups.data,
    without: "columns are recognised by their own names",
    help: "What the file calls its columns, such as prompt=question,completion=answer. A row then is these columns and nothing else.",
  });

/** How rows are held out, for workflows that train or show what training does. */
export const holdingOut = () => ({
  validShare: option(number({ above: 0, max: 0.5 }), {
    value: "X",
    group: groups.data,
    without: "a tenth, 10 to 500 rows",
    help: "Share of the rows that is held out for validation, such as 0.05. Raise it where few rows make the validation loss jump.",
  }),
  groupBy: option(text("a column of the file"), {
    value: "COLUMN",
    group: groups.data,
    without: "rows of one prompt stay together",
    help: "Rows with the same value in this column are held out together, such as all of one author or document, so that no near copy of a held-out row is trained on.",
  }),
});

/** What is wrong where rows are to be held out although a file of their own is given. */
export function heldOutTwice(given: Readonly<Record<string, unknown>>, where: (name: string) => string): string[] {
  const rivals = given.valid === undefined ? [] : ["validShare", "groupBy"].filter((name) => given[name] !== undefined);
  return rivals.map((name) => `give either ${where("valid")} or ${where(name)}: with a file of its own for validation nothing is held out`);
}

/** What is wrong where both files of a run are to come from standard input, which can be read once. */
export function standardInputTwice(given: Readonly<Record<string, unknown>>, where: (name: string) => string): string[] {
  return given.data === "-" && given.valid === "-"
    ? [`${where("data")} and ${where("valid")} cannot both be - (standard input): give one of them as a file`]
    : [];
}

export const model = () =>
  option(text("an alias (smollm2-135m), a Hub id, a folder with config.json and safetensors, or a .gguf file"), {
    required: true,
    value: "MODEL",
    group: groups.files,
    help: "The language model to start from: an alias (smollm2-135m), a Hub id such as HuggingFaceTB/SmolLM2-135M-Instruct, a folder, or a .gguf file.",
  });

export const device = () =>
  option(choice(devices), {
    default: "auto",
    value: "DEVICE",
    group: groups.machine,
    help: "Where the arithmetic runs: auto, cpu or webgpu. Auto takes the processor; choose webgpu to use a graphics card.",
  });

const fourBitWords =
  "4bit (least memory: a quantised GGUF is used exactly as it is, other weights are rounded to 4 bits; slower, since each weight is unpacked where it is read)";
/** What int8 and auto are, by what a model is loaded for. */
const precisionWords = {
  training: `int8 (8 bits: about 1.5 times as fast on processors with 8-bit products, with small rounding errors), ${fourBitWords} or auto. Auto takes int8 where this machine multiplies 8-bit numbers right and faster.`,
  answering: `int8 (8 bits: answers come about twice as fast on processors with 8-bit products, and may choose other words; the weights are rounded once, which takes a while), ${fourBitWords} or auto. Auto is fp32: an answer should not depend on the machine.`,
};

export const precision = (use: keyof typeof precisionWords) =>
  option(choice(precisions), {
    default: "auto",
    value: "PRECISION",
    group: groups.machine,
    help: `How the frozen weights are held and multiplied: fp32 (exact), ${precisionWords[use]}`,
  });

export const threads = () =>
  option(integer({ min: 1, max: 1024 }), {
    value: "N",
    group: groups.machine,
    without: "as many as the processor has cores",
    help: "Processor threads to use. Lower it to keep the machine responsive for other work.",
  });

export const maxLength = () =>
  option(integer({ min: 8, max: 1_048_576 }), {
    default: 1024,
    value: "N",
    unit: "tokens",
    group: groups.data,
    help: "Longest example. Raise it if `lorikeet data` shows that answers are cut; memory and time grow with it.",
  });

export const overflow = () =>
  option(choice(["cut", "drop"]), {
    default: "cut",
    value: "RULE",
    group: groups.data,
    help: "What happens to an example longer than --max-length: cut keeps its beginning, drop leaves it out. Choose drop if a cut answer would teach something wrong.",
  });

/** @param help what the randomness decides in this workflow */
export const seed = (group: string, help: string) =>
  option(integer({ min: 0, max: 4_294_967_295 }), { default: 42, value: "N", group, help });

const tasks = ["sft", "classification", "token-classification", "regression", "embedding"] as const;

export const task = (group: string) =>
  option(choice(tasks), {
    default: "sft",
    value: "TASK",
    group,
    help: "What is learned: sft (to answer like the examples), classification (a label for each text), token-classification (a label for each word), regression (a number for each text) or embedding (vectors that lie near each other for the two texts of a pair). docs/classification.md and docs/sentence-embeddings.md show the rows of each.",
  });

export const batchSize = (help: string) =>
  option(integer({ min: 1, max: 4096 }), { default: 4, value: "N", unit: "examples", group: groups.training, help });

export const maxNewTokens = () =>
  option(integer({ min: 1, max: 1_048_576 }), {
    default: 256,
    value: "N",
    unit: "tokens",
    group: groups.writing,
    help: "Longest answer. Raise it if answers break off.",
  });

export const json = () =>
  option(toggle(), {
    default: false,
    group: groups.output,
    help: "Write JSON alone to standard output, for scripts; text for people goes to standard error.",
  });

export const quiet = () =>
  option(toggle(), { default: false, group: groups.output, help: "Show no progress, only warnings, errors and the result." });

/** The options about the machine, shared by everything that runs a model. */
export const machineShape = (use: keyof typeof precisionWords) => ({ precision: precision(use), device: device(), threads: threads() });
