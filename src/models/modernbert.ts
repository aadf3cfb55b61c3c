import { InputError } from "../errors.js";
import type { Tensor } from "../graph/graph.js";
import { add } from "../ops/add.js";
import { geglu } from "../ops/geglu.js";
import { type GeluKind, gelu } from "../ops/gelu.js";
import { layerNorm } from "../ops/layer-norm.js";
import { splitColumns } from "../ops/split-columns.js";
import type {
  Architecture,
  CheckpointForm,
  ClassificationHead,
  ClassificationTask,
  LinearLayer,
  ModelContext,
  ModelDimensions,
  ModelGraph,
} from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { attentionWindows } from "./parts/attention-windows.js";
import { readGeluKind } from "./parts/gelu-kind.js";
import { throughTrained, trainedLinear } from "./parts/label-scores.js";
import { layerWeights } from "./parts/layer-weights.js";
import { readRotary } from "./parts/rotary-tables.js";
import { type Rotation, rotation } from "./parts/rotation.js";
import { byRow, bySequence } from "./parts/rows.js";

// ModernBERT (Warner et al. 2024): an encoder of pre-norm blocks with rotary positions and GeGLU, no biases but where the configuration
// asks for them. Some blocks see all tokens, the others those near by, each kind with a theta of its own.
//
// B batch, T tokens, N = B·T rows, C hidden, H heads, D head size, F feed-forward, V vocabulary

interface ModernBertConfig {
  readonly dimensions: ModelDimensions;
  readonly feedForward: number;
  readonly epsilon: number;
  readonly activation: GeluKind;
  /** Tokens on each side that a block sees; undefined where it sees all. */
  readonly windows: readonly (number | undefined)[];
  /** Positions of blocks that see all tokens, and of those with a window. */
  readonly rotate: { readonly global: Rotation; readonly local: Rotation };
  readonly biases: { readonly norm: boolean; readonly attention: boolean; readonly feedForward: boolean; readonly head: boolean };
  readonly head: { readonly reads: "first" | "mean"; readonly activation: GeluKind };
}

export const modernbert: Architecture = { modelTypes: ["modernbert"], read: (config) => buildModernBert(readConfig(config)) };

const EMBEDDING = "model.embeddings.tok_embeddings.weight";
const EMBEDDING_NORM = "model.embeddings.norm";
const FINAL_NORM = "model.final_norm";

/** Files of the bare model lack the prefix. */
const checkpointForm: CheckpointForm = { prefixes: [["model.", ""]] };

function readConfig(json: Readonly<Record<string, unknown>>): ModernBertConfig {
  const config = new ConfigReader(json);
  const hidden = config.count("hidden_size", 768);
  const heads = config.count("num_attention_heads", 12);
  const blocks = config.count("num_hidden_layers", 22);
  if (hidden % heads !== 0) throw new InputError(`config.json: ${heads} heads cannot share ${hidden} columns evenly`);
  if ((hidden / heads) % 2 !== 0) throw new InputError(`config.json: head size ${hidden / heads} is odd; rotary embeddings turn pairs`);
  const pooling = config.text("classifier_pooling", "cls");
  if (pooling !== "cls" && pooling !== "mean")
    throw new InputError(`config.json: "classifier_pooling" is "${pooling}"; supported are cls and mean`);
  return {
    dimensions: {
      vocabulary: config.count("vocab_size", 50_368),
      hidden,
      blocks,
      heads,
      kvHeads: heads,
      headSize: hidden / heads,
      maxPositions: config.count("max_position_embeddings", 8192),
    },
    feedForward: config.count("intermediate_size", 1152),
    epsilon: config.positive("norm_eps", 1e-5),
    activation: readGeluKind(config, "hidden_activation", "gelu"),
    windows: windowsOf(config, blocks),
    rotate: {
      global: rotationOf(json, hidden / heads, { type: "full_attention", field: "global_rope_theta", theta: 160_000 }),
      local: rotationOf(json, hidden / heads, { type: "sliding_attention", field: "local_rope_theta", theta: 10_000 }),
    },
    biases: {
      norm: config.flag("norm_bias", false),
      attention: config.flag("attention_bias", false),
      feedForward: config.flag("mlp_bias", false),
      head: config.flag("classifier_bias", false),
    },
    head: { reads: pooling === "cls" ? "first" : "mean", activation: readGeluKind(config, "classifier_activation", "gelu") },
  };
}

/** Where the configuration has no list, every third block from the first on sees all tokens. */
function windowsOf(config: ConfigReader, blocks: number): readonly (number | undefined)[] {
  const every = config.count("global_attn_every_n_layers", 3);
  const window = Math.floor(config.count("local_attention", 128) / 2);
  return attentionWindows(config, { blocks, window, slides: (block) => block % every !== 0 });
}

interface RotationFields {
  readonly type: "full_attention" | "sliding_attention";
  /** Where older files have the theta, and what it is where none has it. */
  readonly field: string;
  readonly theta: number;
}

/** Rotary settings of a kind of block: `rope_parameters` has a record for each; older files have a theta for each. */
function rotationOf(json: Readonly<Record<string, unknown>>, headSize: number, { type, field, theta }: RotationFields): Rotation {
  const config = new ConfigReader(json);
  const own = new ConfigReader(config.record("rope_parameters") ?? {}, "config.json: rope_parameters").record(type);
  return rotation(
    readRotary({ rope_parameters: own ?? config.record("rope_scaling") }, { theta: config.positive(field, theta) }),
    headSize,
  );
}

interface Block {
  /** Absent in the first block, which reads the norm of the embeddings. */
  readonly attentionNorm: string | undefined;
  readonly qkv: LinearLayer;
  readonly output: LinearLayer;
  readonly feedForwardNorm: string;
  readonly gateUp: LinearLayer;
  readonly down: LinearLayer;
}

function buildModernBert(config: ModernBertConfig): ModelGraph {
  const { vocabulary, hidden, blocks: count } = config.dimensions;
  const blocks = Array.from({ length: count }, (_, block) => layersOf(config, block));
  const linearGroups = blocks.flatMap(({ qkv, output, gateUp, down }) => [[qkv], [output], [gateUp], [down]]);
  const norms = [
    EMBEDDING_NORM,
    FINAL_NORM,
    ...blocks.flatMap(({ attentionNorm, feedForwardNorm }) => [attentionNorm ?? [], feedForwardNorm].flat()),
  ];
  return {
    modelType: "modernbert",
    dimensions: config.dimensions,
    sight: "both",
    weights: new Map<string, readonly number[]>([
      [EMBEDDING, [vocabulary, hidden]],
      ...norms.flatMap((norm) => normWeights(config, norm)),
      ...layerWeights(linearGroups),
    ]),
    checkpointForm,
    embedding: EMBEDDING,
    linearGroups,
    hidden: (context) => hiddenStates(config, blocks, context),
    classificationHead: (task, labels) => classificationHead(config, task, labels),
  };
}

function normWeights({ dimensions: { hidden }, biases }: ModernBertConfig, norm: string): (readonly [string, readonly number[]])[] {
  return [[`${norm}.weight`, [hidden]], ...(biases.norm ? [[`${norm}.bias`, [hidden]] as const] : [])];
}

function layersOf({ dimensions: { hidden }, feedForward, biases }: ModernBertConfig, block: number): Block {
  const path = `model.layers.${block}`;
  return {
    attentionNorm: block === 0 ? undefined : `${path}.attn_norm`,
    qkv: { name: `${path}.attn.Wqkv`, inputs: hidden, outputs: 3 * hidden, makesScores: true, hasBias: biases.attention },
    output: { name: `${path}.attn.Wo`, inputs: hidden, outputs: hidden, hasBias: biases.attention },
    feedForwardNorm: `${path}.mlp_norm`,
    gateUp: { name: `${path}.mlp.Wi`, inputs: hidden, outputs: 2 * feedForward, hasBias: biases.feedForward },
    down: { name: `${path}.mlp.Wo`, inputs: feedForward, outputs: hidden, hasBias: biases.feedForward },
  };
}

function norm({ dimensions: { hidden }, biases, epsilon }: ModernBertConfig, weight: ModelContext["weight"]) {
  return (x: Tensor, name: string) =>
    layerNorm(x, weight(`${name}.weight`, [hidden]), biases.norm ? weight(`${name}.bias`, [hidden]) : undefined, epsilon);
}

function hiddenStates(config: ModernBertConfig, blocks: readonly Block[], context: ModelContext): Tensor {
  const { vocabulary, hidden } = config.dimensions;
  const { feedForward, windows, rotate } = config;
  const { graph, weight, linear } = context;
  const normed = norm(config, weight);

  let x = normed(context.embed(EMBEDDING, [vocabulary, hidden]), EMBEDDING_NORM); // [N, C]
  for (const [block, { attentionNorm, qkv, output, feedForwardNorm, gateUp, down }] of blocks.entries()) {
    graph.checkpoints.add(x);
    const window = windows[block];
    const turn = window === undefined ? rotate.global : rotate.local;
    const [joined] = linear(attentionNorm === undefined ? x : normed(x, attentionNorm), [qkv]); // [N, 3C]
    const [q, k, v] = splitColumns(joined, [hidden, hidden, hidden]) as [Tensor, Tensor, Tensor]; // [N, C] each
    const mixed = context.attend(turn(q, context), turn(k, context), bySequence(v), { block, window }); // [B, T, C]
    const [attended] = linear(byRow(mixed), [output]);
    x = add(x, attended);
    const [inner] = linear(normed(x, feedForwardNorm), [gateUp]); // [N, 2F]
    const [gate, up] = splitColumns(inner, [feedForward, feedForward]) as [Tensor, Tensor]; // [N, F] each
    const [fed] = linear(geglu(gate, up, config.activation), [down]); // [N, C]
    x = add(x, fed);
  }
  graph.checkpoints.add(x);
  return normed(x, FINAL_NORM);
}

const HEAD_NORM = "head.norm";

/** A frozen layer, GELU and norm, and `classifier` (`ModernBertForSequenceClassification`, `ModernBertForTokenClassification`). */
function classificationHead(config: ModernBertConfig, task: ClassificationTask, labels: number): ClassificationHead {
  const { hidden } = config.dimensions;
  const dense: LinearLayer = { name: "head.dense", inputs: hidden, outputs: hidden, hasBias: config.biases.head };
  const classifier = { name: "classifier", inputs: hidden, outputs: labels, hasBias: true, deviation: hidden ** -0.5 };
  return {
    reads: task === "token" ? "each" : config.head.reads,
    modules: [classifier.name],
    parameters: trainedLinear(classifier),
    weights: new Map([...layerWeights([[dense]]), ...normWeights(config, HEAD_NORM)]),
    linearGroups: [[dense]],
    logits: (x, context) => {
      const [inner] = context.linear(x, [dense]); // [E, C]
      const normed = norm(config, context.weight)(gelu(inner, config.head.activation), HEAD_NORM);
      return throughTrained(normed, classifier.name, true, context);
    },
  };
}
