import type { InspectResult } from "../../workflows/api.js";
import { bytesText, countText, plainNumber } from "./numbers.js";
import { facts, table } from "./table.js";

/** An adapter's sizes, and a row per layer: how far it moved the layer and in how many directions. */
export function inspectText(result: InspectResult): string {
  const head = facts([
    ["adapter", result.directory],
    ["base model", result.baseModel ?? "not named"],
    ["rank", String(result.rank)],
    [
      "alpha",
      `${plainNumber(result.alpha)} (${result.scale === undefined ? "the scale differs by layer" : `scale ${plainNumber(result.scale)}`})`,
    ],
    ["dropout", plainNumber(result.dropout)],
    ["parameters", `${countText(result.parameters)} in ${result.layers.length} layers, ${bytesText(result.bytes)}`],
    ["change", `norm ${plainNumber(result.norm)}${result.norm === 0 ? ": this adapter changes nothing" : ""}`],
  ]);
  const has = (name: "amplification" | "similarity") => result.layers.some((layer) => layer[name] !== undefined);
  const [amplified, compared] = [has("amplification"), has("similarity")];
  const rows = result.layers.map((layer) => [
    layer.name,
    String(layer.rank),
    plainNumber(layer.scale),
    `${layer.shape[1]} → ${layer.shape[0]}`,
    countText(layer.parameters),
    plainNumber(layer.norm),
    plainNumber(layer.effectiveRank),
    ...(amplified ? [layer.amplification?.factor === undefined ? "" : plainNumber(layer.amplification.factor)] : []),
    ...(compared ? [similarityText(layer)] : []),
    [...layer.singularValues].slice(0, 4).map(plainNumber).join(" ") + (layer.singularValues.length > 4 ? " …" : ""),
  ]);
  const columns = [
    { title: "layer" },
    { title: "rank", right: true },
    { title: "scale", right: true },
    { title: "in → out", right: true },
    { title: "parameters", right: true },
    { title: "norm of ΔW", right: true },
    { title: "effective rank", right: true },
    ...(amplified ? [{ title: "amplification", right: true }] : []),
    ...(compared ? [{ title: "alike, first / all", right: true }] : []),
    { title: "largest singular values" },
  ];
  const words = [
    "ΔW is what the adapter adds to a layer. Effective rank: how many of the rank's directions are in use.",
    ...(amplified ? ["Amplification: how many times as strong the change is in its directions as the model's own weights."] : []),
    ...(compared
      ? [`Alike: the share of its strongest input direction, and of all, that the other adapter (${result.with}) changed too; 1 is all.`]
      : []),
    ...(result.html === undefined ? [] : [`page ${result.html}`]),
  ];
  return `${head}\n\n${table(columns, rows)}\n\n${words.join("\n")}`;
}

function similarityText({ similarity }: InspectResult["layers"][number]): string {
  const [first, all] = [similarity?.values[0]?.[0], similarity?.values.at(-1)?.at(-1)];
  return first === undefined || all === undefined ? "" : `${first.toFixed(2)} / ${all.toFixed(2)}`;
}
