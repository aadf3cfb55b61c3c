import type { Shape } from "../../graph/dimension.js";
import type { Target } from "../../graph/op.js";
import type { LanguageModelGraph } from "../../models/architecture.js";
import { BATCH, TOKENS } from "../../models/parts/rows.js";
import type { OnnxModel, OnnxValue } from "../../onnx/model.js";
import type { StoredWeight } from "../../runtime/emit.js";
import { buildOnnx } from "../../runtime/program.js";
import { buildDecoderGraph, PAST, SEEN } from "./decoder-graph.js";
import { IDS, type Lengths, lengthsOf, MASK, WANTED_COUNT, writeDecoderInputs } from "./decoder-inputs.js";
import { type NodeList, nodeList } from "./node-list.js";

/** Extents as transformers.js and Optimum call them: the cache of the first tokens is made by these names. */
const extentNames: Readonly<Record<string, string>> = {
  [BATCH]: "batch_size",
  [TOKENS]: "sequence_length",
  [PAST]: "past_sequence_length",
  [SEEN]: "total_sequence_length",
};

/**
 * A decoder as an ONNX model that `@huggingface/transformers` generates with. Inputs: `input_ids` int64 [B, T], `attention_mask` int64
 * [B, P + T] (0 for padding, on either side), `num_logits_to_keep` int64 [] (how many of the last tokens' logits are wanted, 0 for all),
 * and `past_key_values.i.key` and `.value` [B, K, P, D]. Outputs: `logits` [B, wanted, V], and `present.i.key` and `.value` [B, K, P + T, D].
 */
export function decoderModel(model: LanguageModelGraph, weights: (name: string) => StoredWeight, target: Target): OnnxModel {
  const { graph, windows } = buildDecoderGraph(model);
  const { model: inner, shapeInputs } = buildOnnx(graph, target, weights);
  const before = nodeList("input");
  const lengths = lengthsOf(before);
  writeDecoderInputs(before, lengths, { windows, shortContext: model.dimensions.shortContext });
  for (const [name, shape] of shapeInputs) writeShape(before, lengths, name, shape);

  const after = nodeList("output");
  const { vocabulary } = model.dimensions;
  const shape = after.add("Concat", [lengths.batch, after.ints([-1, vocabulary])], { attributes: { axis: { int: 0 } } });
  after.add("Reshape", ["logits:rows", shape], { output: "logits" });

  const computed = new Set(before.nodes.flatMap(({ outputs }) => outputs));
  const int64 = (name: string, shape: OnnxValue["shape"]): OnnxValue => ({ name, dtype: "int64", shape });
  return {
    nodes: [...before.nodes, ...renamed(inner, "logits", "logits:rows").nodes, ...after.nodes],
    inputs: [
      int64(IDS, ["batch_size", "sequence_length"]),
      int64(MASK, ["batch_size", "total_sequence_length"]),
      int64(WANTED_COUNT, []),
      ...inner.inputs.filter(({ name }) => !computed.has(name)).map(named),
    ],
    outputs: inner.outputs.map((output) =>
      output.name === "logits" ? { ...output, shape: ["batch_size", "num_logits", vocabulary] } : named(output),
    ),
    initializers: [...before.initializers.values(), ...after.initializers.values(), ...inner.initializers],
  };
}

/** A shape that the graph needs as a value: what the runtime feeds elsewhere is computed here. */
function writeShape(nodes: NodeList, { batch, tokens, seen }: Lengths, output: string, shape: Shape): void {
  const known: Readonly<Record<string, string>> = { [BATCH]: batch, [TOKENS]: tokens, [SEEN]: seen };
  const factorOf = (factor: string) => {
    const value = known[factor];
    if (value === undefined) throw new Error(`no input tells the extent "${factor}" of [${shape.join(", ")}]`);
    return value;
  };
  const parts = shape.map((extent) => {
    if (typeof extent === "number") return nodes.ints([extent]);
    const factors = extent.split("*").map((factor) => (Number.isNaN(Number(factor)) ? factorOf(factor) : nodes.ints([Number(factor)])));
    return factors.reduce((product, factor) => nodes.add("Mul", [product, factor]));
  });
  nodes.add("Concat", parts, { attributes: { axis: { int: 0 } }, output });
}

/** A model in which a value has another name. */
function renamed({ nodes, ...rest }: OnnxModel, from: string, to: string): OnnxModel {
  const rename = (value: string) => (value === from ? to : value);
  return { ...rest, nodes: nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) })) };
}

function named(value: OnnxValue): OnnxValue {
  return { ...value, shape: value.shape.map((extent) => (typeof extent === "number" ? extent : (extentNames[extent] ?? extent))) };
}
