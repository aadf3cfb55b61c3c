import { add } from "../ops/add.js";
import { linear } from "../ops/linear.js";
import { mul } from "../ops/mul.js";
import { type AdaptedModel, type Adapter, vectorFromAdapter } from "./adapter.js";
import type { LinearLayer } from "./layer.js";
import { type AdapterLayout, buildLayout, viewOf } from "./layout.js";
import { EMBEDDING_A, EMBEDDING_B } from "./variants/embedding.js";
import { variantOf } from "./variants/index.js";
import { A, B, lowRank, parameterA, parameterB, storedPair } from "./variants/lora.js";
import type { InferenceForm, Variant, VariantParameter } from "./variants/variant.js";

/** The names of what an answering layer may have beside A and B. */
export const GAIN = "gain";
export const OFFSET = "offset";

/** An adapter as a program that answers or measures applies it. */
export interface InferenceAdapter {
  readonly layout: AdapterLayout;
  readonly vector: Float32Array;
}

/**
 * An adapter that fits a model (see `checkFit`) in the form that answers take, whatever its variant.
 *
 * @param weightOf the frozen W [outputs, inputs] of a layer; asked for by variants that depend on it
 */
export async function inferenceAdapter(
  adapter: Adapter,
  model: AdaptedModel,
  weightOf: (layer: LinearLayer) => Promise<Float32Array>,
): Promise<InferenceAdapter> {
  const variant = variantOf(adapter.config.method);
  const forms = new Map<string, InferenceForm>();
  for (const layer of adapter.layers) forms.set(layer.name, await variant.inference(layer, () => weightOf(layer)));

  const stored = vectorFromAdapter(adapter, model);
  const adapted = stored.layout.groups.map(({ layers }) =>
    layers.map((layer) => ({ ...layer, rank: formOf(forms, layer).rank, scale: formOf(forms, layer).scale })),
  );
  const layout = buildLayout(adapted, stored.layout.modules, answering(forms));
  const vector = new Float32Array(layout.length);
  for (const layer of layout.groups.flatMap(({ layers }) => layers)) {
    const { a, b, gain, offset } = formOf(forms, layer);
    const pair = { [A]: a, [B]: b, [EMBEDDING_A]: b, [EMBEDDING_B]: a };
    const values: Readonly<Record<string, Float32Array | undefined>> = { ...pair, [GAIN]: gain, [OFFSET]: offset };
    for (const [name, place] of layer.parameters) viewOf(vector, place).set(values[name] ?? []);
  }
  for (const [index, entry] of layout.modules.entries()) {
    const place = stored.layout.modules[index];
    if (place !== undefined) viewOf(vector, entry).set(viewOf(stored.vector, place));
  }
  return { layout, vector };
}

function formOf(forms: ReadonlyMap<string, InferenceForm>, { name }: LinearLayer): InferenceForm {
  const form = forms.get(name);
  if (form === undefined) throw new Error(`the adapter has no layer ${name}`);
  return form;
}

/** y = gain ⊙ x·Wᵀ + bias of W + s·x·Aᵀ·Bᵀ + offset, as a variant of its own. */
function answering(forms: ReadonlyMap<string, InferenceForm>): Variant {
  return {
    parameters: (layer) => {
      const { gain, offset } = formOf(forms, layer);
      const vector = (name: string): VariantParameter => ({ name, shape: [layer.outputs], isTrained: true, side: "output" }); // fed with the adapter
      const vectors = [...(gain === undefined ? [] : [vector(GAIN)]), ...(offset === undefined ? [] : [vector(OFFSET)])];
      return [parameterA(layer), parameterB(layer), ...vectors];
    },
    initialise: () => {
      throw new Error("an adapter in the form for answers is not trained");
    },
    forward: (layer, rows) => {
      const { gain, offset } = formOf(forms, layer);
      const product = rows.product(rows.input); // [N, out]
      const addend = rows.addBias(gain === undefined ? product : mul(product, rows.parameter(GAIN)));
      const adapted = linear(rows.multiplied(A), rows.parameter(B), { scale: layer.scale, addend }); // [N, out]
      return offset === undefined ? adapted : add(adapted, rows.parameter(OFFSET));
    },
    lowRank, // at the head no layer has more than its pair
    stored: storedPair,
    vectors: [],
    storedRanks: 1,
    inference: ({ rank, scale, a, b }) => ({ rank, scale, a, b }),
    peftFields: {},
  };
}
