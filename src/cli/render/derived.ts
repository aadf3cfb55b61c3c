import type { CombineResult, ConvertResult, DerivedAdapter, DerivedLayer, ExtractResult, ResizeResult } from "../../workflows/api.js";
import { bytesText, countText, plainNumber } from "./numbers.js";

// The ends of combine, resize, convert and extract: what the new adapter is, and how near it came.

/** "1 × style, 0.5 × domain", ranks, and the distance from the exact sum. */
export function combineText(result: CombineResult): string {
  const sum = result.terms.map(({ name, weight }) => `${plainNumber(weight)} × ${name}`).join(", ");
  const reduced = result.layers.filter(({ reductionError }) => reductionError !== undefined);
  const lines = [`${sum} (${result.type}).`];
  if (result.relativeError === 0) lines.push("It is the exact sum: nothing is lost.");
  else lines.push(`It differs from the exact sum by ${errorText(result)}.`);
  if (reduced.length > 0 && result.type !== "svd") {
    const worst = worstOf(reduced.map(({ name, reductionError }) => ({ name, relativeError: reductionError ?? 0 })));
    lines.push(`Reducing it to a rank lost at most ${percent(worst.relativeError)} of a layer (${worst.name}).`);
  }
  return [...lines, filesText(result)].join("\n");
}

export function resizeText(result: ResizeResult): string {
  const former = ranksText(result.layers.map(({ formerRank }) => formerRank));
  return `The layers had ${former}.\nIt lacks ${errorText(result, " of the adapter's change")}.\n${filesText(result)}`;
}

export function convertText(result: ConvertResult): string {
  return `It is a plain LoRA now, for the base as it is.\n${filesText(result)}`;
}

export function extractText(result: ExtractResult): string {
  const same = result.unchanged === 0 ? "" : ` ${result.unchanged} linear layers do not differ and have none.`;
  return `The adapter lacks ${errorText(result, " of the difference")}.${same}\n${filesText(result)}`;
}

function filesText({
  layers,
  parameters,
  out,
  files,
  bytes,
}: DerivedAdapter & { readonly layers: readonly { readonly rank: number }[] }): string {
  const ranks = ranksText(layers.map(({ rank }) => rank));
  return `${layers.length} layers of ${ranks}, ${countText(parameters)} parameters.\n${out}: ${files.join(", ")} (${bytesText(bytes)})`;
}

function ranksText(ranks: readonly number[]): string {
  const [least, most] = [Math.min(...ranks), Math.max(...ranks)];
  return least === most ? `rank ${most}` : `ranks ${least} to ${most}`;
}

/** "0.7 % of the change (at most 2.1 %, in model.layers.3.mlp.up_proj)". */
function errorText(
  { relativeError, layers }: { readonly relativeError: number; readonly layers: readonly DerivedLayer[] },
  ofWhat = "",
): string {
  const worst = worstOf(layers);
  return `${percent(relativeError)}${ofWhat} (at most ${percent(worst.relativeError)}, in ${worst.name})`;
}

function worstOf<L extends { readonly name: string; readonly relativeError: number }>(
  layers: readonly L[],
): { name: string; relativeError: number } {
  return layers.reduce<{ name: string; relativeError: number }>(
    (worst, layer) => (layer.relativeError >= worst.relativeError ? layer : worst),
    {
      name: "none",
      relativeError: 0,
    },
  );
}

const percent = (share: number): string => `${plainNumber(Number((100 * share).toPrecision(2)))} %`;
