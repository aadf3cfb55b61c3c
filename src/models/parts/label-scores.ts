import type { Tensor } from "../../graph/graph.js";
import { linear } from "../../ops/linear.js";
import type { ClassificationHead, ClassificationTask, HeadContext, HeadParameter } from "../architecture.js";

interface LinearParameters {
  /** Module name in the checkpoint. */
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly hasBias: boolean;
  /** Standard deviation of fresh weights. */
  readonly deviation: number;
}

/** The parameters of a linear layer that is trained whole. */
export function trainedLinear({ name, inputs, outputs, hasBias, deviation }: LinearParameters): readonly HeadParameter[] {
  const weight = { name: `${name}.weight`, shape: [outputs, inputs], deviation };
  return hasBias ? [weight, { name: `${name}.bias`, shape: [outputs], deviation: 0 }] : [weight];
}

/** x [E, in] through such a layer, [E, out]. */
export function throughTrained(x: Tensor, name: string, hasBias: boolean, { parameter }: HeadContext): Tensor {
  return linear(x, parameter(`${name}.weight`), hasBias ? { addend: parameter(`${name}.bias`) } : {});
}

/** A head that is one linear layer. */
export function linearHead(reads: ClassificationHead["reads"], layer: LinearParameters): ClassificationHead {
  return {
    reads,
    modules: [layer.name],
    parameters: trainedLinear(layer),
    weights: new Map(),
    linearGroups: [],
    logits: (x, context) => throughTrained(x, layer.name, layer.hasBias, context),
  };
}

/**
 * The head of decoders: `score` on the last token, or with a bias on each (`GenericForSequenceClassification` and
 * `GenericForTokenClassification` in transformers).
 */
export function scoreHead(task: ClassificationTask, inputs: number, labels: number, deviation: number): ClassificationHead {
  const layer = { name: "score", inputs, outputs: labels, deviation };
  return task === "sequence" ? linearHead("last", { ...layer, hasBias: false }) : linearHead("each", { ...layer, hasBias: true });
}
