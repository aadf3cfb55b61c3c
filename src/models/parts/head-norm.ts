import { product } from "../../graph/dimension.js";
import { reshape } from "../../ops/reshape.js";
import { extent } from "../../ops/types.js";
import type { Sublayer } from "./sublayer.js";

/** Each head of [N, H·D] normalised by itself, by a norm of D values that is the same for all → [N, H·D]. */
export function headNorm(heads: number, norm: Sublayer): Sublayer {
  return {
    ...norm,
    apply: (x, context) => {
      const [rows, columns] = [extent(x.shape, 0), extent(x.shape, 1)];
      const each = reshape(x, [product(rows, heads), Number(columns) / heads]); // [N·H, D]
      return reshape(norm.apply(each, context), x.shape);
    },
  };
}
