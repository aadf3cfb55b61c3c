/** Names of GGUF's tensors, without `.weight` and `.bias`, and what Hugging Face calls them. */
export interface TensorNames {
  /** Outside the blocks: `token_embd` → `model.embed_tokens`. */
  readonly outer: Readonly<Record<string, string>>;
  /** Where Hugging Face has its blocks: `model.layers`. */
  readonly blocks: string;
  /** Inside a block: `attn_q` → `self_attn.q_proj`. */
  readonly inner: Readonly<Record<string, string>>;
}

/** Hugging Face's name of a tensor, or undefined where there is none. */
export function huggingFaceName(names: TensorNames, name: string): string | undefined {
  const [, block, part = "", kind] = /^(?:blk\.(\d{1,4})\.)?([a-z_]+)\.(weight|bias)$/.exec(name) ?? [];
  if (kind === undefined) return undefined;
  const table = block === undefined ? names.outer : names.inner;
  if (!Object.hasOwn(table, part)) return undefined;
  return block === undefined ? `${table[part]}.${kind}` : `${names.blocks}.${Number(block)}.${table[part]}.${kind}`;
}

/** GGUF's name of a tensor that Hugging Face calls `name`, or undefined where there is none. */
export function ggufName(names: TensorNames, name: string): string | undefined {
  const [, module = "", kind] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const inBlocks = module.startsWith(`${names.blocks}.`) ? module.slice(names.blocks.length + 1) : undefined;
  const [, block, part = module] = /^(\d+)\.(.*)$/.exec(inBlocks ?? "") ?? [];
  const table = block === undefined ? names.outer : names.inner;
  const found = Object.entries(table).find(([, theirs]) => theirs === part)?.[0];
  if (found === undefined || kind === undefined) return undefined;
  return block === undefined ? `${found}.${kind}` : `blk.${Number(block)}.${found}.${kind}`;
}

/** Names of a Llama and of all that are named after it.                    llama.cpp: gguf-py/gguf/tensor_mapping.py */
export const llamaNames = {
  outer: { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" },
  blocks: "model.layers",
  inner: {
    attn_norm: "input_layernorm",
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_output: "self_attn.o_proj",
    ffn_norm: "post_attention_layernorm",
    ffn_gate: "mlp.gate_proj",
    ffn_up: "mlp.up_proj",
    ffn_down: "mlp.down_proj",
  },
} as const satisfies TensorNames;

/** Names of the norms of single heads, in Qwen 3 and Gemma 3. */
export const headNormNames = { attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" } as const;
