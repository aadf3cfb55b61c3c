import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32, type Lowering, type Op } from "../graph/op.js";
import { extent, fixed, input } from "./types.js";

interface RotaryAttributes {
  readonly inverse: boolean;
  /** Of a head, of which the first values turn. */
  readonly headSize: number;
}

const lowerRotary: Lowering<RotaryAttributes> = (e, { inputs: [x = "", positions = "", cos = "", sin = ""], attributes, types }) => {
  const { inverse, headSize } = attributes;
  const turn = inverse ? e.emit("Neg", [sin])[0] : sin;
  const size = 2 * fixed("RotaryEmbedding", extent(types[2]?.shape ?? [], 1));
  const heads = fixed("RotaryEmbedding", extent(types[0]?.shape ?? [], 2)) / headSize;
  const partial = size === headSize ? {} : { num_heads: { int: heads }, rotary_embedding_dim: { int: size } };
  return e.emit("RotaryEmbedding", [x, positions, cos, turn], {
    domain: "com.microsoft",
    attributes: { interleaved: { int: 0 }, ...partial },
  })[0];
};

// Each pair (xᵢ, xᵢ₊D⁄₂) of a head turns by the angle position·θᵢ (Su et al. 2021, eq. 34, in the half-split layout of
// Llama's checkpoints). A rotation is orthogonal: its gradient turns back, by −sin. Of a head of more than D values, the others stay.
const rotaryOp: Op<RotaryAttributes> = defineOp({
  name: "RotaryEmbedding",
  infer: (types, { headSize }) => {
    const x = input("RotaryEmbedding", types, 0, 3);
    input("RotaryEmbedding", types, 1, 2, "int64");
    const cos = input("RotaryEmbedding", types, 2, 2);
    const half = fixed("RotaryEmbedding", extent(cos.shape, 1));
    if (fixed("RotaryEmbedding", extent(x.shape, 2)) % headSize !== 0) {
      throw new Error(`RotaryEmbedding: ${extent(x.shape, 2)} columns are not heads of ${headSize}`);
    }
    if (2 * half > headSize) throw new Error(`RotaryEmbedding: ${2 * half} values turn, a head has ${headSize}`);
    return [float32(...x.shape)];
  },
  gradient: ({ inputs: [, positions, cos, sin], dys: [dy], attributes }) => [
    apply(rotaryOp, [dy, positions, cos, sin], { ...attributes, inverse: !attributes.inverse }),
  ],
  lower: everywhere(lowerRotary),
});

/** x [B, T, H·headSize], positions int64 [B, T], cos and sin [positions, D/2] → x turned, of each head the first D values. */
export const rotaryEmbedding = (
  x: Tensor,
  positions: Tensor,
  cos: Tensor,
  sin: Tensor,
  headSize = 2 * fixed("RotaryEmbedding", extent(cos.shape, 1)),
): Tensor => apply(rotaryOp, [x, positions, cos, sin], { inverse: false, headSize });
