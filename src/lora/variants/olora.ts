import { orthonormalColumns, transposedProduct } from "../kernels/products.js";
import type { AdaptedLayer } from "../layer.js";
import { type StartPair, subtractedStart } from "./subtracted.js";

/** OLoRA (Büyükakyüz 2024, arXiv 2406.01775, algorithm 1): for W = Q·R, B₀ is the first r columns of Q, and A₀ the first r rows of R. */
export const olora = subtractedStart(async (layer, { weight }) => orthonormalPair(layer, await weight()), orthonormalPair, {
  init_lora_weights: "olora",
});

function orthonormalPair({ inputs, outputs, rank }: AdaptedLayer, weight: Float32Array): StartPair {
  const q = orthonormalColumns(weight, outputs, inputs, rank); // [out, R]
  return { a: Float32Array.from(transposedProduct(q, weight, outputs, rank, inputs)), b: Float32Array.from(q) }; // A₀ = Qᵀ·W
}
