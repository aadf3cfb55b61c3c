import { InputError } from "../errors.js";
import { type Adapter, type AdapterLayer, widenedConfig } from "./adapter.js";
import { concatenated } from "./combination/combine-layer.js";
import { plainLayers, type WeightOf } from "./plain.js";
import { type Method, variantOf } from "./variants/index.js";

/** How many times the rank a converted adapter has: its own directions, and those that its start took out of W. */
const TIMES = 2;

/**
 * An adapter that changes W before it is trained (PiSSA, OLoRA, CorDA, LoRA-GA) as a plain LoRA of twice the rank beside the W of the model:
 * ΔW = s·BA − s·B₀A₀, as PEFT converts with `path_initial_model_for_weight_conversion`.
 *
 * @param start the adapter as it was before the first update
 * @param name what messages call the adapter
 * @throws InputError where the two are not of one run.
 */
export function convertByStart(adapter: Adapter, start: Adapter, name: string): Adapter {
  for (const { config } of [adapter, start]) checkPairs(config.method, name);
  const starts = new Map(start.layers.map((layer) => [layer.name, layer]));
  const problems = adapter.layers.flatMap((layer) => mismatch(layer, starts.get(layer.name)));
  const extra = start.layers.length - adapter.layers.length;
  if (extra > 0) problems.push(`the start has ${extra} more`);
  if (problems.length > 0) {
    const shown = problems
      .slice(0, LISTED)
      .map((problem) => `\n- ${problem}`)
      .join("");
    throw new InputError(`The start is not that of ${name}:${shown}\nGive the folder that was saved before this adapter's training began.`);
  }
  const layers = adapter.layers.map((layer) => {
    const before = starts.get(layer.name);
    return before === undefined ? layer : { ...widened(layer, before), scale: layer.scale };
  });
  return { ...adapter, config: widenedConfig(adapter.config, TIMES), layers };
}

/** Throws InputError for a variant of which a file holds more than an A and a B for each layer: its change is not their product alone. */
function checkPairs(method: Method, name: string): void {
  const { vectors, file } = variantOf(method);
  if (vectors.length === 0 && file === undefined) return;
  throw new InputError(
    `${name}: adapters of the method ${method} hold more than two matrices for each layer, which are not converted. lorikeet merge folds them into their model.`,
  );
}

const LISTED = 10;

function mismatch(layer: AdapterLayer, start: AdapterLayer | undefined): string[] {
  if (start === undefined) return [`${layer.name} is not in it`];
  const sides = ({ outputs, inputs, rank }: AdapterLayer) => `[${outputs}, ${inputs}] of rank ${rank}`;
  return sides(layer) === sides(start) ? [] : [`${layer.name} is ${sides(start)} in it, and ${sides(layer)} in the adapter`];
}

/** [A; A₀] and [B, −B₀]. */
function widened(layer: AdapterLayer, start: AdapterLayer): AdapterLayer {
  const negative = { ...start, scale: 1, b: start.b.map((value) => -value) };
  return concatenated([
    { weight: 1, layer: { ...layer, scale: 1 } },
    { weight: 1, layer: negative },
  ]);
}

/**
 * The same where the start is lost, computed again from W. Right for exact decompositions alone: PEFT names others, such as
 * `pissa_niter_16`, otherwise.
 *
 * @throws InputError for an adapter that does not start from W.
 */
export async function convertByWeights(adapter: Adapter, name: string, weightOf: WeightOf): Promise<Adapter> {
  const { storedRanks } = variantOf(adapter.config.method);
  if (storedRanks === 1)
    throw new InputError(
      `${name} is an adapter of the method ${adapter.config.method}, which leaves W as it is: there is nothing to convert.`,
    );
  return { ...adapter, config: widenedConfig(adapter.config, storedRanks), layers: await plainLayers(adapter, name, weightOf) };
}
