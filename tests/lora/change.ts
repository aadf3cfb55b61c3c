import { mergeInto } from "../../src/lora/kernels/merge.js";

/** ΔW [outputs, inputs] of a layer. */
export function changeOf(layer: { rank: number; scale: number; a: Float32Array; b: Float32Array }): Float32Array {
  const out = new Float32Array((layer.a.length / layer.rank) * (layer.b.length / layer.rank));
  mergeInto(out, out, layer);
  return out;
}
