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
  const rows = result.layers.map((layer) => [
    layer.name,
    String(layer.rank),
    plainNumber(layer.scale),
    `${layer.shape[1]} → ${layer.shape[0]}`,
    countText(layer.parameters),
    plainNumber(layer.norm),
    plainNumber(layer.effectiveRank),
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
    { title: "largest singular values" },
  ];
  return `${head}\n\n${table(columns, rows)}\n\nΔW is what the adapter adds to a layer. Effective rank: how many of the rank's directions are in use.`;
}
