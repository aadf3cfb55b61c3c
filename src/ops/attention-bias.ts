import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary, unsqueeze } from "./engine-nodes.js";
import { extent, input } from "./types.js";

/** What a masked score gets: its exponential is zero, and no sum of two of them overflows. */
export const MASKED = -1e30;

// bias[b, 0, i, j] = 0 where token i may see token j (j ≤ i, the same segment), else MASKED
const attentionBiasOp = defineOp<null>({
  name: "AttentionBias",
  infer: (types) => {
    const segments = input("AttentionBias", types, 0, 2);
    const tokens = extent(segments.shape, 1);
    input("AttentionBias", types, 1, 1);
    return [float32(extent(segments.shape, 0), 1, tokens, tokens)];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [segments = "", order = ""] }) => {
    const query = unsqueeze(e, segments, [1, 3]); // [B, 1, T, 1]
    const key = unsqueeze(e, segments, [1, 2]); // [B, 1, 1, T]
    const earlier = binary(e, "LessOrEqual", unsqueeze(e, order, [0]), unsqueeze(e, order, [1])); // [T, T]
    const causal = e.emit("Where", [earlier, e.float(0), e.float(MASKED)])[0];
    return e.emit("Where", [binary(e, "Equal", query, key), causal, e.float(MASKED)])[0]; // [B, 1, T, T]
  }),
});

/** segments [B, T] (equal numbers see each other), order [T] = 0 … T−1 → additive mask [B, 1, T, T]. */
export const attentionBias = (segments: Tensor, order: Tensor): Tensor => apply(attentionBiasOp, [segments, order], null);
