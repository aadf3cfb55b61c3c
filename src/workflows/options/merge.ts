import * as z from "zod";
import { choice, option, text, toggle, type ValueKind } from "../option.js";
import { type OptionsOf, optionSet, type ValuesOf } from "../parse-options.js";
import { adapterFolder, groups, model } from "./common.js";

/** Bytes of the units that sizes are written in: those of a thousand, as transformers has them. */
const units: Readonly<Record<string, number>> = { KB: 1e3, MB: 1e6, GB: 1e9 };

/** A size of files: `500MB`, `5GB`, or a number of bytes. */
function fileSize(): ValueKind<z.ZodType<number, string | number>> {
  const schema = z.union([z.string(), z.number()]).transform((written, context) => {
    const [, number, unit = ""] = /^(\d+(?:\.\d+)?)\s*(KB|MB|GB)$/i.exec(String(written).trim()) ?? [];
    const bytes = Math.round(typeof written === "number" ? written : Number(number) * (units[unit.toUpperCase()] ?? 0));
    if (bytes >= 1e3) return bytes;
    context.addIssue({ code: "custom", message: "it has no KB, MB or GB, or is less than 1KB" });
    return z.NEVER;
  });
  return { kind: "size", schema, expected: "a size such as 500MB or 5GB" };
}

/** Forms that a folder of safetensors has no place for. */
const blockTypes = ["q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "q4_0"] as const;
/** What each form stores weights as. */
const typesOf = {
  folder: ["f32", "f16", "bf16", "original"],
  gguf: ["f32", "f16", "bf16", "original", "base", ...blockTypes],
  onnx: ["f32", "q8", "q4"],
} as const satisfies Record<string, readonly string[]>;

/** The form that a merged model is to have. */
export const formOf = ({ to, out }: { readonly to?: unknown; readonly out?: unknown }): keyof typeof typesOf =>
  to === "onnx" || to === "folder" ? to : isGguf({ to, out }) ? "gguf" : "folder";

/** Whether a merged model is to be a GGUF. */
const isGguf = ({ to, out }: { readonly to?: unknown; readonly out?: unknown }): boolean =>
  to === undefined ? /\.gguf$/i.test(String(out)) : to === "gguf";

export const mergeSet = optionSet(
  "merge",
  "Fold an adapter into its model and write the result: a folder that transformers loads, a GGUF for llama.cpp and Ollama, or ONNX for transformers.js in browsers and Node.",
  {
    model: model(),
    adapter: option(text(adapterFolder), { required: true, value: "DIR", group: groups.files, help: "The adapter to fold in." }),
    out: option(text("a folder, or a .gguf file"), {
      required: true,
      value: "PATH",
      group: groups.files,
      help: "What receives the merged model: a new folder, or a .gguf file.",
    }),
    to: option(choice(["folder", "gguf", "onnx"]), {
      value: "FORMAT",
      group: groups.files,
      without: "gguf where --out ends in .gguf, else folder",
      help: "The form of the result: folder (safetensors with tokenizer and configuration, for transformers and what is like it), gguf (for llama.cpp, Ollama and LM Studio; a folder gets a Modelfile beside it) or onnx (a folder that @huggingface/transformers 4 loads, in a browser as in Node).",
    }),
    dtype: option(choice(["original", "base", "f32", "f16", "bf16", "q8", "q4", ...blockTypes]), {
      value: "TYPE",
      group: groups.files,
      without: "original for a folder, f16 for a GGUF, q8 for ONNX",
      help: "How the weights are stored: original (as each was in the base; quantised ones as f32), f32 (no rounding), f16 and bf16, in which rounding can be as large as a small change; for a GGUF also q8_0 to q4_0, blocks of about 8 to 4 bits, and base (each as in the base, a GGUF itself; tensors that do not change are copied). For ONNX f32, q8 (8 bits, for browsers without WebGPU) or q4 (blocks of 4 bits, for WebGPU). What rounding costs is measured and printed.",
    }),
    restorable: option(toggle(), {
      default: false,
      group: groups.files,
      help: "Keep beside the result what rounding takes, so that lorikeet unmerge can restore the base bit for bit when its own files are gone. Small where the result has no fewer bits than the base; its size is printed.",
    }),
    measure: option(text("general, or a file of examples"), {
      value: "DATA",
      group: groups.files,
      help: "Also compare what the result predicts with what base and adapter do, in float32, on 512 tokens of the general probe (general) or of the answers in a file of examples. It runs the model three times and takes the memory of its weights.",
    }),
    maxShardSize: option(fileSize(), {
      default: "2GB",
      value: "SIZE",
      group: groups.files,
      help: "Largest file of weights in a folder; a larger model is written in several. Browsers cannot map more than 2 GB.",
    }),
  },
  (given, where) => [
    ...(given.dtype !== undefined && !(typesOf[formOf(given)] as readonly unknown[]).includes(given.dtype)
      ? [wrongType(given, where)]
      : []),
    ...(formOf(given) === "onnx" && given.restorable === true
      ? [`${where("restorable")} is for a folder or a GGUF: no base comes back out of an ONNX file`]
      : []),
    ...(formOf(given) === "onnx" && given.measure !== undefined
      ? [`${where("measure")} is for a folder or a GGUF: an ONNX file is run by transformers.js alone`]
      : []),
    ...(formOf(given) === "gguf" && given.maxShardSize !== undefined
      ? [`${where("maxShardSize")} is for a folder: a GGUF is one file (llama-gguf-split cuts one into several)`]
      : []),
  ],
);

/** How a merged model is named. */
const mergedWords = "a merged folder, or a merged .gguf file";

export const unmergeSet = optionSet(
  "unmerge",
  "Take an adapter out of a model that it was folded into: the base's files come back bit for bit, where the merge was told --restorable.",
  {
    merged: option(text(mergedWords), {
      required: true,
      positional: true,
      value: "MERGED",
      group: groups.files,
      help: "What lorikeet merge wrote.",
    }),
    adapter: option(text(adapterFolder), {
      required: true,
      value: "DIR",
      group: groups.files,
      help: "The adapter that was folded in, that very one.",
    }),
    out: option(text("a new folder, or a .gguf file"), {
      required: true,
      value: "PATH",
      group: groups.files,
      help: "What receives the base: a new folder, or a .gguf file where the base was one.",
    }),
    approximate: option(toggle(), {
      default: false,
      group: groups.files,
      help: "Of a model that was merged without --restorable: subtract the adapter's change. That is not the base bit for bit; how far it is from it at most is printed.",
    }),
  },
);

export type UnmergeOptions = OptionsOf<(typeof unmergeSet)["shape"]>;
export type UnmergeSettings = ValuesOf<(typeof unmergeSet)["shape"]>;

/** Says which form has the type that was asked for, and which types the form has. */
function wrongType(
  given: { readonly dtype?: unknown; readonly to?: unknown; readonly out?: unknown },
  where: (option: string) => string,
): string {
  const form = formOf(given);
  const types = typesOf[form].filter((type) => !(blockTypes as readonly string[]).includes(type));
  const fitting = `choose ${types.slice(0, -1).join(", ")} or ${types.at(-1)}`;
  const asked = `${where("dtype")} ${String(given.dtype)}`;
  if ((typesOf.onnx as readonly unknown[]).includes(given.dtype))
    return `${asked} is a form of ONNX: add ${where("to")} onnx, or ${fitting}`;
  if (form === "onnx") return `${asked} is no form of ONNX: ${fitting}`;
  return `${asked} is a form of GGUF: name ${where("out")} with .gguf, or ${fitting}`;
}

export type MergeOptions = OptionsOf<(typeof mergeSet)["shape"]>;
export type MergeSettings = ValuesOf<(typeof mergeSet)["shape"]>;
