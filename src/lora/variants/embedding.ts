import { add } from "../../ops/add.js";
import { matrixProduct } from "../../ops/matrix-product.js";
import { valuesOf } from "./lora.js";
import type { Variant } from "./variant.js";

/** PEFT's names of the matrices beside a table of embeddings. */
export const EMBEDDING_A = "lora_embedding_A";
export const EMBEDDING_B = "lora_embedding_B";

/**
 * LoRA beside a table of embeddings W [V, C], of which a token reads a row: yᵢ = Wₖ + s·Aₖ·B, k = idᵢ (Microsoft's loralib, `Embedding`;
 * PEFT, `lora/layer.py`). A [V, R] is zero at the start and B [R, C] normal, N(0, 1); both lie transposed in PEFT's files. The table's
 * change is s·A·B. Dropout does not touch it, as there.
 */
export const embeddingPair: Variant = {
  parameters: ({ rank, inputs, outputs }) => [
    { name: EMBEDDING_A, shape: [outputs, rank], isTrained: true, side: "input" },
    { name: EMBEDDING_B, shape: [rank, inputs], isTrained: true, side: "output" },
  ],
  initialise: (layer, { random }) => {
    const b = new Float32Array(layer.rank * layer.inputs);
    random(EMBEDDING_B).fillNormal(b, 1);
    return new Map([
      [EMBEDDING_A, new Float32Array(layer.outputs * layer.rank)],
      [EMBEDDING_B, b],
    ]);
  },
  forward: ({ scale }, rows) =>
    add(rows.product(rows.input), matrixProduct(rows.multiplied(EMBEDDING_A), rows.parameter(EMBEDDING_B), { scale })), // [N, C]
  stored: (layer, values) => ({ ...layer, a: valuesOf(values, EMBEDDING_B), b: valuesOf(values, EMBEDDING_A) }),
  vectors: [],
  storedRanks: 1,
  inference: ({ rank, scale, a, b }) => ({ rank, scale, a, b }),
  peftFields: {},
};
