import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32, type Lowering, type Op } from "../graph/op.js";
import { extent, fixed, input } from "./types.js";

interface RotaryAttributes {
  readonly inverse: boolean;
}

const lowerRotary: Lowering<RotaryAttributes> = (e, { inputs: [x = "", positions = "", cos = "", sin = ""], attributes: { inverse } }) => {
  const turn = inverse ? e.emit("Neg", [sin])[0] : sin;
  return e.emit("RotaryEmbedding", [x, positions, cos, turn], { domain: "com.microsoft", attributes: { interleaved: { int: 0 } } })[0];
};

// Each pair (xᵢ, xᵢ₊D⁄₂) of a head turns by the angle position·θᵢ (Su et al. 2021, eq. 34, in the half-split layout of
// Llama's checkpoints). A rotation is orthogonal: its gradient turns back, by −sin.
const rotaryOp: Op<RotaryAttributes> = defineOp({
  name: "RotaryEmbedding",
  infer: (types) => {
    const x = input("RotaryEmbedding", types, 0, 3);
    input("RotaryEmbedding", types, 1, 2, "int64");
    const cos = input("RotaryEmbedding", types, 2, 2);
    const half = fixed("RotaryEmbedding", extent(cos.shape, 1));
    if (fixed("RotaryEmbedding", extent(x.shape, 2)) % (2 * half) !== 0) {
      throw new Error(`RotaryEmbedding: ${extent(x.shape, 2)} columns are not heads of ${2 * half}`);
    }
    return [float32(...x.shape)];
  },
  gradient: ({ inputs: [, positions, cos, sin], dys: [dy], attributes: { inverse } }) => [
    apply(rotaryOp, [dy, positions, cos, sin], { inverse: !inverse }),
  ],
  lower: everywhere(lowerRotary),
});

/** x [B, T, H·D], positions int64 [B, T], cos and sin [positions, D/2] → x turned [B, T, H·D]. */
export const rotaryEmbedding = (x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor): Tensor =>
  apply(rotaryOp, [x, positions, cos, sin], { inverse: false });
