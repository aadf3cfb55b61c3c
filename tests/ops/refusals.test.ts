import { expect, test } from "vitest";
import { Graph } from "../../src/graph/graph.js";
import { add } from "../../src/ops/add.js";
import { attention } from "../../src/ops/attention.js";
import { attentionBias } from "../../src/ops/attention-bias.js";
import { crossEntropy } from "../../src/ops/cross-entropy.js";
import { frozenLinear } from "../../src/ops/frozen-linear.js";
import { gradients } from "../../src/ops/gradients.js";
import { layerNorm } from "../../src/ops/layer-norm.js";
import { linear } from "../../src/ops/linear.js";
import { poolRows } from "../../src/ops/pool-rows.js";
import { reshape } from "../../src/ops/reshape.js";
import { rmsNorm } from "../../src/ops/rms-norm.js";
import { rotaryEmbedding } from "../../src/ops/rotary-embedding.js";
import { splitColumns } from "../../src/ops/split-columns.js";
import { squaredError } from "../../src/ops/squared-error.js";
import { swiglu } from "../../src/ops/swiglu.js";
import { vocabularyLoss } from "../../src/ops/vocabulary-loss.js";
import { weightedSum } from "../../src/ops/weighted-sum.js";

const float = (graph: Graph, name: string, ...shape: (number | string)[]) => graph.input(name, { dtype: "float32", shape });

test("shapes that do not fit are refused where the graph is written", () => {
  const graph = new Graph();
  const x = float(graph, "x", "n", 4);
  expect(() => linear(x, float(graph, "w", 3, 5))).toThrow("Linear: columns of x and of W differ: 4 and 5");
  expect(() => add(x, float(graph, "five", 5))).toThrow("shapes [n, 4] and [5] do not broadcast");
  expect(() => rmsNorm(x, float(graph, "gain", 3), 1e-5)).toThrow("RmsNorm: columns of x and of the gain differ: 4 and 3");
  expect(() => splitColumns(x, [1, 2])).toThrow("SplitColumns: widths 1 + 2 are not 4");
  expect(() => linear(float(graph, "cube", 1, 2, 4), x)).toThrow("Linear: input 0 has shape [1, 2, 4], not 2 axes");
  const [q, kv] = [float(graph, "q", 1, 1, 6), float(graph, "kv", 1, 1, 4)];
  const bias = attentionBias(float(graph, "segments", 1, 1), float(graph, "order", 1));
  expect(() => attention(q, kv, kv, bias, { heads: 3, kvHeads: 2, scale: 1 })).toThrow("3 heads do not share 2 key-value heads evenly");
  const targets = graph.input("targets", { dtype: "int64", shape: [3] });
  const whole = { chunks: 1, differentiable: true };
  expect(() => vocabularyLoss(x, float(graph, "head", 9, 4), targets, whole)).toThrow(
    "VocabularyLoss: rows of x and targets differ: n and 3",
  );
  expect(() => vocabularyLoss(float(graph, "three", 3, 4), float(graph, "wide", 9, 5), targets, whole)).toThrow(
    "VocabularyLoss: columns of x and of W differ: 4 and 5",
  );
  const positions = graph.input("positions", { dtype: "int64", shape: [1, 1] });
  const table = float(graph, "table", 8, 4);
  expect(() => rotaryEmbedding(q, positions, table, table)).toThrow("RotaryEmbedding: 6 columns are not heads of 8");
});

test("so are those of heads and norms", () => {
  const graph = new Graph();
  const x = float(graph, "x", "n", 4);
  const [three, four] = [float(graph, "three", 3), float(graph, "four", 4)];
  const targets = graph.input("targets", { dtype: "int64", shape: ["n"] });
  expect(() => layerNorm(x, three, undefined, 1e-5)).toThrow("LayerNorm: columns of x and of the gain differ: 4 and 3");
  expect(() => layerNorm(x, four, three, 1e-5)).toThrow("LayerNorm: columns of x and of the bias differ: 4 and 3");
  expect(() => swiglu(x, float(graph, "up", "n", 3))).toThrow("SwiGlu: columns of gate and up differ: 4 and 3");
  expect(() => crossEntropy(float(graph, "one", 1, 4), targets)).toThrow("CrossEntropy: rows of logits and targets differ: 1 and n");
  expect(() => crossEntropy(x, targets, three)).toThrow("CrossEntropy: classes and weights differ: 4 and 3");
  expect(() => squaredError(x, four)).toThrow("SquaredError: shapes of predictions and targets differ: [n, 4] and [4]");
  expect(() => poolRows(x, float(graph, "shares", 2, 3))).toThrow("PoolRows: rows of x and columns of the shares differ: n and 3");
});

test("attention refuses a mask that is neither of the keys up to a chunk's own end nor of all", () => {
  const graph = new Graph();
  const x = float(graph, "q", 1, 8, 4);
  const masks = [float(graph, "first", 1, 1, 4, 6), float(graph, "second", 1, 1, 4, 8)];
  expect(() => attention(x, x, x, masks, { heads: 1, kvHeads: 1, scale: 1 })).toThrow(
    "Attention: chunk 0 of 2 has a mask of 4 queries and 6 keys",
  );
});

test("the weights of classes have no gradient", () => {
  const graph = new Graph();
  const weights = float(graph, "weights", 4);
  const losses = crossEntropy(float(graph, "x", 2, 4), graph.input("targets", { dtype: "int64", shape: [2] }), weights);
  const loss = weightedSum(losses, float(graph, "c", 2));
  expect(() => gradients(loss, [weights])).toThrow("CrossEntropy: its classes' weights have no gradient");
});

test("a frozen weight has no gradient, and says so", () => {
  const graph = new Graph();
  const weight = float(graph, "w", 1, 4);
  const loss = weightedSum(reshape(frozenLinear(float(graph, "x", 2, 4), weight), [2]), float(graph, "c", 2));
  expect(() => gradients(loss, [weight])).toThrow("FrozenLinear: its weight is frozen and has no gradient");
});

test("a vocabulary's loss has gradients only where they were asked for", () => {
  const graph = new Graph();
  const [x, weight] = [float(graph, "x", 2, 4), float(graph, "w", 9, 4)];
  const targets = graph.input("targets", { dtype: "int64", shape: [2] });
  const loss = (differentiable: boolean) =>
    weightedSum(vocabularyLoss(x, weight, targets, { chunks: 1, differentiable }), float(graph, "c", 2));
  expect(() => gradients(loss(false), [x])).toThrow("VocabularyLoss has a gradient where it is asked for");
  expect(gradients(loss(true), [x, weight]).map(({ shape }) => shape)).toEqual([
    [2, 4],
    [9, 4],
  ]);
});

test("a trainable that does not reach the loss is named", () => {
  const graph = new Graph();
  const loss = weightedSum(float(graph, "x", 2), float(graph, "c", 2));
  expect(() => gradients(loss, [float(graph, "lonely", 3)])).toThrow('the loss does not depend on the trainable tensor "lonely"');
});

test("an operation without gradient on the way is named", () => {
  const graph = new Graph();
  const segments = float(graph, "segments", 1, 3);
  const [bias] = attentionBias(segments, float(graph, "order", 3)); // [1, 1, 3, 3]
  const loss = weightedSum(reshape(bias!, [9]), float(graph, "c", 9));
  expect(() => gradients(loss, [segments])).toThrow("the operation AttentionBias has no gradient");
});
