import { product } from "../../graph/dimension.js";
import { reshape } from "../../ops/reshape.js";
import { rmsNorm } from "../../ops/rms-norm.js";
import { ROWS } from "./rows.js";
import type { Sublayer } from "./sublayer.js";

/** RMSNorm of each head by itself, with one gain [D] for all: [N, H·D] → [N, H·D]. */
export function headNorm(name: string, { heads, headSize, epsilon }: { heads: number; headSize: number; epsilon: number }): Sublayer {
  const gain = `${name}.weight`;
  return {
    linearGroups: [],
    weights: [[gain, [headSize]]],
    apply: (x, { weight }) => {
      const each = reshape(x, [product(ROWS, heads), headSize]); // [N·H, D]
      return reshape(rmsNorm(each, weight(gain, [headSize]), epsilon), [ROWS, heads * headSize]);
    },
  };
}
