import type { AttentionUse, LinearLayer, ModelDimensions } from "../architecture.js";
import type { Rotation } from "./rotation.js";
import { byRow, bySequence } from "./rows.js";
import type { Sublayer } from "./sublayer.js";

export interface GroupedAttention {
  /** Of the module: `model.layers.0.self_attn`. */
  readonly name: string;
  readonly dimensions: Pick<ModelDimensions, "hidden" | "heads" | "kvHeads" | "headSize">;
  readonly rotate: Rotation;
  readonly use: AttentionUse;
  /** Which projections have a bias. */
  readonly biases?: { readonly qkv?: boolean; readonly output?: boolean };
  /** What queries and keys go through before they are turned. */
  readonly norms?: { readonly query: Sublayer; readonly key: Sublayer };
}

/** Grouped-query attention over turned heads (Ainslie et al. 2023; Su et al. 2021), with q, k, v and o as Llama's checkpoints name them. */
export function groupedAttention({ name, dimensions, rotate, use, biases = {}, norms }: GroupedAttention): Sublayer {
  const { hidden, heads, kvHeads, headSize } = dimensions;
  const [queries, pairs] = [heads * headSize, kvHeads * headSize];
  const ofInput = (part: string, outputs: number, makesScores: boolean): LinearLayer => ({
    name: `${name}.${part}`,
    inputs: hidden,
    outputs,
    makesScores,
    hasBias: biases.qkv ?? false,
  });
  const qkv = [ofInput("q_proj", queries, true), ofInput("k_proj", pairs, true), ofInput("v_proj", pairs, false)] as const;
  const output = [{ name: `${name}.o_proj`, inputs: queries, outputs: hidden, hasBias: biases.output ?? false }] as const;
  return {
    linearGroups: [qkv, output],
    weights: norms === undefined ? [] : [...norms.query.weights, ...norms.key.weights],
    apply: (x, context) => {
      const [q, k, v] = context.linear(x, qkv); // [N, H·D], [N, K·D], [N, K·D]
      const query = norms?.query.apply(q, context) ?? q;
      const key = norms?.key.apply(k, context) ?? k;
      const mixed = context.attend(rotate(query, context), rotate(key, context), bySequence(v), use); // [B, T, H·D]
      const [attended] = context.linear(byRow(mixed), output); // [N, C]
      return attended;
    },
  };
}
