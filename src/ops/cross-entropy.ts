import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32, type TensorType } from "../graph/op.js";
import { binary, reduceMax, reduceSum, softmax, unsqueeze } from "./engine-nodes.js";
import { expectEqual, extent, fixed, input } from "./types.js";

// ℓᵢ = w_t·(log Σⱼ exp(zᵢⱼ) − zᵢₜ),  t the target of row i
//
// For the few classes of a head: the targets become rows of the identity. (For a vocabulary there is `vocabularyLoss`.)
const crossEntropyOp = defineOp<null>({
  name: "CrossEntropy",
  infer: (types) => [float32(extent(inferLogits("CrossEntropy", types).shape, 0))],
  gradient: ({ inputs: [logits, targets, weights], dys: [dy], wants }) => {
    if (wants[2]) throw new Error("CrossEntropy: its classes' weights have no gradient");
    return [apply(crossEntropyGradientOp, [logits, targets, weights, dy], null)];
  },
  lower: everywhere((e, { inputs: [logits = "", targets = "", weights = ""], types }) => {
    const shifted = binary(e, "Sub", logits, reduceMax(e, logits, 1)); // [E, L]
    const logSum = e.emit("Log", [reduceSum(e, e.emit("Exp", [shifted])[0], [1], true)])[0]; // [E, 1]
    const chosen = weightedRows(e, { targets, weights, types });
    return reduceSum(e, binary(e, "Mul", chosen, binary(e, "Sub", logSum, shifted)), [1], false); // [E]
  }),
});

// z̄ᵢ = ȳᵢ·w_t·(softmax(zᵢ) − eₜ)
const crossEntropyGradientOp = defineOp<null>({
  name: "CrossEntropyGradient",
  infer: (types) => [float32(...inferLogits("CrossEntropyGradient", types).shape)],
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [logits = "", targets = "", weights = "", dy = ""], types }) => {
    const chosen = weightedRows(e, { targets, weights, types }); // w_t·eₜ [E, L]
    const weight = reduceSum(e, chosen, [1], true); // w_t [E, 1]
    const difference = binary(e, "Sub", binary(e, "Mul", softmax(e, logits), weight), chosen);
    return binary(e, "Mul", difference, unsqueeze(e, dy, [1]));
  }),
});

function inferLogits(name: string, types: readonly (TensorType | undefined)[]): TensorType {
  const logits = input(name, types, 0, 2);
  const targets = input(name, types, 1, 1, "int64");
  expectEqual(name, "rows of logits and targets", extent(logits.shape, 0), extent(targets.shape, 0));
  if (types[2] !== undefined) expectEqual(name, "classes and weights", extent(logits.shape, 1), extent(input(name, types, 2, 1).shape, 0));
  return logits;
}

interface Chosen {
  readonly targets: string;
  readonly weights: string;
  readonly types: readonly (TensorType | undefined)[];
}

/** The row of the identity that each target names, times the weight of its class [E, L]. */
function weightedRows(e: Emitter, { targets, weights, types }: Chosen): string {
  const classes = fixed("CrossEntropy", extent(types[0]?.shape ?? [], 1));
  const [identity = ""] = e.once(`identity:${classes}`, () => [e.float(identityMatrix(classes), [classes, classes])]);
  const rows = e.emit("Gather", [identity, targets], { attributes: { axis: { int: 0 } } })[0];
  return weights === "" ? rows : binary(e, "Mul", rows, weights);
}

function identityMatrix(size: number): Float32Array {
  return Float32Array.from({ length: size * size }, (_, at) => Number(at % (size + 1) === 0));
}

/**
 * The cross-entropy of each row, in nats. PyTorch's CrossEntropyLoss with weights divides the sum of these by the sum of the weights of
 * the rows' targets.
 *
 * @param logits [E, L]
 * @param targets int64 [E], each the index of a class
 * @param weights of the classes [L], one each by default
 * @returns [E]
 */
export const crossEntropy = (logits: Tensor, targets: Tensor, weights?: Tensor): Tensor =>
  apply(crossEntropyOp, [logits, targets, weights], null);
