import { InputError } from "../errors.js";
import type { Tensor } from "../graph/graph.js";
import { add } from "../ops/add.js";
import { gatherRows } from "../ops/gather-rows.js";
import { type GeluKind, gelu } from "../ops/gelu.js";
import { splitColumns } from "../ops/split-columns.js";
import type {
  Architecture,
  CheckpointForm,
  ClassificationHead,
  ClassificationTask,
  LanguageModelGraph,
  LinearLayer,
  ModelContext,
  ModelDimensions,
} from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { requireCausalSight } from "./parts/causal-sight.js";
import { decoderGraph } from "./parts/decoder-graph.js";
import { readGeluKind } from "./parts/gelu-kind.js";
import { linearHead, scoreHead } from "./parts/label-scores.js";
import { byRow, bySequence } from "./parts/rows.js";
import { inSequence, layerNormalisation, type Sublayer } from "./parts/sublayer.js";

// GPT-2 (Radford et al. 2019): pre-norm blocks with LayerNorm, learned positions, one layer for q, k and v, and GELU; every layer has a
// bias. DistilGPT-2 and Cerebras-GPT differ by configuration only. `reorder_and_upcast_attn` asks for float32, which all of this is in.
//
// B batch, T tokens, N = B·T rows, C hidden, F feed-forward

interface Gpt2Config {
  readonly dimensions: ModelDimensions;
  readonly feedForward: number;
  readonly epsilon: number;
  readonly activation: GeluKind;
  /** Factor on the scores of a block. */
  readonly scale: (block: number) => number;
  /** The output projection is the embedding table. */
  readonly tied: boolean;
  /** Standard deviation of fresh weights. */
  readonly initialDeviation: number;
}

export const gpt2: Architecture = {
  modelTypes: ["gpt2"],
  read: (config) => buildGpt2(readConfig(config)),
};

const EMBEDDING = "transformer.wte.weight";
const POSITIONS = "transformer.wpe.weight";

/** Files of the bare model lack the prefix; older ones hold the causal mask and what it puts into the scores. */
const checkpointForm: CheckpointForm = {
  prefixes: [["transformer.", ""]],
  constants: /(^|\.)h\.\d+\.attn\.(masked_)?bias$/,
};

function readConfig(json: Readonly<Record<string, unknown>>): Gpt2Config {
  const config = new ConfigReader(json);
  requireCausalSight(config, "gpt2");
  const hidden = config.count("n_embd", 768);
  const heads = config.count("n_head", 12);
  if (hidden % heads !== 0) throw new InputError(`config.json: ${heads} heads cannot share ${hidden} columns evenly`);
  if (config.flag("add_cross_attention", false)) {
    throw new InputError(`config.json: "add_cross_attention" is true; a GPT-2 that reads an encoder is not supported`);
  }
  const headSize = hidden / heads;
  const scale = config.flag("scale_attn_weights", true) ? 1 / Math.sqrt(headSize) : 1;
  const byBlock = config.flag("scale_attn_by_inverse_layer_idx", false);
  return {
    dimensions: {
      vocabulary: config.count("vocab_size", 50_257),
      hidden,
      blocks: config.count("n_layer", 12),
      heads,
      kvHeads: heads,
      headSize,
      maxPositions: config.count("n_positions", 1024),
    },
    feedForward: config.count("n_inner", 4 * hidden),
    epsilon: config.positive("layer_norm_epsilon", 1e-5),
    activation: readGeluKind(config, "activation_function", "gelu_new"),
    scale: (block) => (byBlock ? scale / (block + 1) : scale),
    tied: config.flag("tie_word_embeddings", true),
    initialDeviation: config.positive("initializer_range", 0.02),
  };
}

function buildGpt2(config: Gpt2Config): LanguageModelGraph {
  const { dimensions, epsilon } = config;
  const { vocabulary, hidden, maxPositions } = dimensions;
  const norm = (name: string) => layerNormalisation(`transformer.${name}`, hidden, epsilon);
  const blocks = Array.from({ length: dimensions.blocks }, (_, block) => [
    inSequence(norm(`h.${block}.ln_1`), attention(config, block)),
    inSequence(norm(`h.${block}.ln_2`), feedForward(config, block)),
  ]);
  const graph = decoderGraph({
    modelType: "gpt2",
    dimensions,
    tables: [
      [EMBEDDING, [vocabulary, hidden]],
      [POSITIONS, [maxPositions, hidden]],
    ],
    embed: (context) => embed(dimensions, context),
    blocks,
    lastNorm: norm("ln_f"),
    tied: config.tied,
    classificationHead: (task, labels) => headFor(task, hidden, labels, config.initialDeviation),
  });
  return { ...graph, checkpointForm };
}

function embed({ vocabulary, hidden, maxPositions }: ModelDimensions, { weight, embed, positions }: ModelContext): Tensor {
  return add(embed(EMBEDDING, [vocabulary, hidden]), gatherRows(weight(POSITIONS, [maxPositions, hidden]), positions));
}

const layer = (name: string, inputs: number, outputs: number, makesScores = false): LinearLayer => ({
  name: `transformer.${name}`,
  inputs,
  outputs,
  makesScores,
  hasBias: true,
  isConv1D: true,
});

function attention({ dimensions: { hidden }, scale }: Gpt2Config, block: number): Sublayer {
  const joined = [layer(`h.${block}.attn.c_attn`, hidden, 3 * hidden, true)] as const;
  const output = [layer(`h.${block}.attn.c_proj`, hidden, hidden)] as const;
  return {
    linearGroups: [joined, output],
    weights: [],
    apply: (x, context) => {
      const [qkv] = context.linear(x, joined); // [N, 3C]
      const [q, k, v] = splitColumns(qkv, [hidden, hidden, hidden]).map(bySequence) as [Tensor, Tensor, Tensor]; // [B, T, C]
      const mixed = context.attend(q, k, v, { block, scale: scale(block) });
      const [attended] = context.linear(byRow(mixed), output); // [N, C]
      return attended;
    },
  };
}

function feedForward({ dimensions: { hidden }, feedForward, activation }: Gpt2Config, block: number): Sublayer {
  const up = [layer(`h.${block}.mlp.c_fc`, hidden, feedForward)] as const;
  const down = [layer(`h.${block}.mlp.c_proj`, feedForward, hidden)] as const;
  return {
    linearGroups: [up, down],
    weights: [],
    apply: (x, context) => {
      const [inner] = context.linear(x, up); // [N, F]
      const [fed] = context.linear(gelu(inner, activation), down); // [N, C]
      return fed;
    },
  };
}

/** As other decoders, but that the layer for tokens has another name (`GPT2ForTokenClassification` in transformers). */
function headFor(task: ClassificationTask, inputs: number, outputs: number, deviation: number): ClassificationHead {
  if (task === "sequence") return scoreHead(task, inputs, outputs, deviation);
  return linearHead("each", { name: "classifier", inputs, outputs, hasBias: true, deviation });
}
