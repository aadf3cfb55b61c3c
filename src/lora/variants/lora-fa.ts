import { pair, parameterA, parameterB } from "./lora.js";
import type { Variant } from "./variant.js";

/**
 * LoRA-FA (Zhang et al. 2023, arXiv 2308.03303, section 3): A stays as it was drawn, and B alone is trained. What the layer reads, which
 * only A's gradient needs, is not kept for the backward pass. What is stored is a plain LoRA.
 */
export const loraFa: Variant = {
  ...pair,
  parameters: (layer) => [{ ...parameterA(layer), isTrained: false }, parameterB(layer)],
};
