import type { LinearGroup, LinearLayer } from "../../src/models/architecture.js";

/** The linear layers of tests/golden/tiny-llama, as its architecture lists them. */
export function tinyGroups(hidden = 32, kv = 16, feedForward = 64): LinearGroup[] {
  return [0, 1].flatMap((block) => {
    const layer = (name: string, inputs: number, outputs: number): LinearLayer => ({
      name: `model.layers.${block}.${name}`,
      inputs,
      outputs,
    });
    return [
      [layer("self_attn.q_proj", hidden, hidden), layer("self_attn.k_proj", hidden, kv), layer("self_attn.v_proj", hidden, kv)],
      [layer("self_attn.o_proj", hidden, hidden)],
      [layer("mlp.gate_proj", hidden, feedForward), layer("mlp.up_proj", hidden, feedForward)],
      [layer("mlp.down_proj", feedForward, hidden)],
    ];
  });
}

export const tinyLayers = tinyGroups().flat();
