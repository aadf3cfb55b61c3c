import { InputError } from "../errors.js";
import type { Adapter, AdapterLayer } from "./adapter.js";
import type { LinearLayer } from "./layer.js";
import { nearestNames } from "./targets.js";

/** As many mismatches as one error spells out; the rest are counted. */
const LISTED_MISMATCHES = 20;

/**
 * Throws one InputError with every way in which an adapter does not fit a model: layers that the model lacks, shapes that differ, no layer
 * at all. `layers` are all linear layers of the model.
 */
export function checkFit(adapter: Adapter, layers: readonly LinearLayer[], modelName: string): void {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const names = [...byName.keys()];
  const mismatches = adapter.layers.flatMap((layer) => mismatchOf(layer, byName.get(layer.name), names));
  if (adapter.layers.length === 0) mismatches.push("it has no layer at all");
  if (mismatches.length === 0) return;

  const { baseModel } = adapter.config;
  const origin = baseModel === undefined ? "" : ` It was trained for ${baseModel}: use that model.`;
  const shown = mismatches.slice(0, LISTED_MISMATCHES).map((mismatch) => `\n- ${mismatch}`);
  const rest = mismatches.length - shown.length;
  throw new InputError(
    `The adapter does not fit the model ${modelName} (${mismatches.length} ${mismatches.length === 1 ? "mismatch" : "mismatches"}).${origin}${shown.join("")}${rest > 0 ? `\n- and ${rest} more` : ""}`,
  );
}

function mismatchOf(adapted: AdapterLayer, layer: LinearLayer | undefined, names: readonly string[]): string[] {
  if (layer === undefined)
    return [`${adapted.name}: the model has no such layer (nearest: ${nearestNames(adapted.name, names, 2).join(", ") || "none"})`];
  if (layer.inputs === adapted.inputs && layer.outputs === adapted.outputs) return [];
  return [
    `${adapted.name}: the adapter expects a weight of [${adapted.outputs}, ${adapted.inputs}], the model has [${layer.outputs}, ${layer.inputs}]`,
  ];
}
