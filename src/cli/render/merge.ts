import type { MergeResult, UnmergeResult } from "../../workflows/api.js";
import { bytesText, plainNumber } from "./numbers.js";
import { table } from "./table.js";

type Rounding = MergeResult["rounding"];

/** Blocks have letters of ggml: Q4_1. */
const isBlocks = (type: string): boolean => type.startsWith("Q");
/** Less of the change than this is worth a warning. */
const LITTLE_ARRIVED = 0.9;
const MOST = 0.5;

/** A share as "0.17 %". */
export const shareText = (share: number): string => `${plainNumber(Number((100 * share).toPrecision(2)))} %`;

/** What the types of the weights cost, for each kind of layer where they are blocks; nothing where they cost nothing. */
export function roundingText(rounding: Rounding): string {
  const { ofWeights, ofChange, kinds } = rounding;
  if (ofWeights === 0) return "";
  const lines = [
    `Rounding the merged weights for the file moved them by ${shareText(ofWeights)} of their size, which is ${shareText(ofChange)} of what the adapter changes.`,
  ];
  if (kinds.some(({ type }) => isBlocks(type))) lines.push("", kindsTable(rounding), "");
  return [...lines, ...advice(rounding)].join("\n");
}

function kindsTable({ kinds, ...all }: Rounding): string {
  const row = (name: string, type: string, { change, ofWeights, ofChange, arrived }: Omit<Rounding, "kinds">, isAdapted: boolean) => [
    name,
    type,
    isAdapted ? shareText(change) : "–",
    shareText(ofWeights),
    isAdapted ? shareText(ofChange) : "–",
    isAdapted ? shareText(arrived) : "–",
  ];
  const right = true;
  return table(
    [
      { title: "weights" },
      { title: "type" },
      { title: "change", right },
      { title: "rounding", right },
      { title: "rounding / change", right },
      { title: "change that arrives", right },
    ],
    [
      ...kinds.map((kind) => row(kind.kind, kind.type, kind, kind.isAdapted)),
      row("adapted, in all", [...new Set(kinds.filter(({ isAdapted }) => isAdapted).map(({ type }) => type))].join(", "), all, true),
    ],
  );
}

/** Types of ONNX, or of GGUF, with more bits than the coarsest of these. */
function finerTypes(types: ReadonlySet<string>): string {
  if (types.has("q4")) return "q8 or f32";
  if (types.has("q8")) return "f32";
  return [...types].every((type) => type === "q8_0") ? "f16" : "q8_0 or f16";
}

/** What the figures mean, and what to do. */
function advice({ ofChange, arrived, kinds }: Rounding): string[] {
  const out = `Take more bits (--dtype ${finerTypes(new Set(kinds.map(({ type }) => type)))}), or keep the adapter beside the base (lorikeet export makes it a file for llama.cpp).`;
  if (arrived < LITTLE_ARRIVED) {
    const much = arrived < MOST ? "Most" : "A part";
    return [
      `${much} of what the adapter changes is lost: ${shareText(arrived)} of it arrives in the file. The steps between the values of these types are larger than the changes, and a weight that is moved by less than half a step falls back to where it was. ${out}`,
    ];
  }
  if (ofChange <= 1) return [];
  return [
    `The change arrives in the file, under a rounding that is larger than it. That is what so few bits do to any model; whether this one still answers as it should, only its answers tell. ${out}`,
  ];
}

/** What the file predicts, beside base and adapter; nothing where it was not asked for. */
export function outputsText({ outputs }: Pick<MergeResult, "outputs">): string {
  if (outputs === undefined) return "";
  const { texts, tokens, file, base } = outputs;
  const where = texts === "general" ? "the general probe" : texts;
  const nats = (value: number) => plainNumber(Number(value.toPrecision(2)));
  const share = base.mean === 0 ? "" : `, ${shareText(file.mean / base.mean)} of that`;
  return [
    `What the file predicts for ${tokens} tokens of ${where}, in float32: ${nats(file.mean)} nats from base and adapter (KL divergence, mean; at most ${nats(file.largest)}), with the same likeliest token at ${shareText(file.sameToken)}.`,
    `What the adapter does to the base there: ${nats(base.mean)} nats, the same at ${shareText(base.sameToken)}. Merging cost ${nats(file.mean)}${share}.`,
  ].join("\n");
}

/** Where the record of the base is, and what it costs; nothing where none was asked for. */
export function recordText({ record, bytes }: Pick<MergeResult, "record" | "bytes">): string {
  if (record === undefined) return "";
  return `${record.folder}: ${bytesText(record.bytes)}, ${shareText(record.bytes / bytes)} of the model. With it lorikeet unmerge restores the base bit for bit.`;
}

/** What came out of a merged model. */
export function unmergeText({ out, files, bytes, layers, approximate }: UnmergeResult): string {
  const where = `${out}: ${files.join(", ")} (${bytesText(bytes)})`;
  if (approximate === undefined)
    return `The adapter is taken out of ${layers} layers. The files are the base's, byte for byte (SHA-256).\n${where}`;
  const { largestDistance, largestWeight } = approximate;
  return [
    `The change is subtracted from ${layers} layers. This is not the base bit for bit: no weight is further from it than ${plainNumber(largestDistance)}, where the largest is ${plainNumber(largestWeight)}, if it was merged in these types.`,
    where,
  ].join("\n");
}
