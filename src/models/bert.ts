import { tanh } from "../ops/soft-cap.js";
import type { Architecture, ClassificationHead, ClassificationTask, LinearLayer, ModelGraph } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { linearHead, throughTrained, trainedLinear } from "./parts/label-scores.js";
import { layerWeights } from "./parts/layer-weights.js";
import { readPostNormEncoder } from "./parts/post-norm-config.js";
import { postNormModel } from "./parts/post-norm-encoder.js";

// BERT (Devlin et al. 2019). MiniLM (Wang et al. 2020) and most sentence encoders are BERTs of other sizes.

export const bert: Architecture = { modelTypes: ["bert"], read: readBert };

const PREFIX = "bert.";

function readBert(json: Readonly<Record<string, unknown>>): ModelGraph {
  const config = new ConfigReader(json);
  const encoder = readPostNormEncoder(config, PREFIX, 0);
  const deviation = config.positive("initializer_range", 0.02);
  return postNormModel("bert", encoder, (task, labels) => head(task, encoder.dimensions.hidden, labels, deviation));
}

/** The first token's state through the pooler, a frozen layer with a tanh, and `classifier` (`BertForSequenceClassification`). */
function head(task: ClassificationTask, hidden: number, labels: number, deviation: number): ClassificationHead {
  const classifier = { name: "classifier", inputs: hidden, outputs: labels, hasBias: true, deviation };
  if (task === "token") return linearHead("each", classifier);
  const pooler: LinearLayer = { name: `${PREFIX}pooler.dense`, inputs: hidden, outputs: hidden, hasBias: true };
  return {
    reads: "first",
    modules: [classifier.name],
    parameters: trainedLinear(classifier),
    weights: new Map(layerWeights([[pooler]])),
    linearGroups: [[pooler]],
    logits: (x, context) => {
      const [pooled] = context.linear(x, [pooler]); // [E, C]
      return throughTrained(tanh(pooled), classifier.name, true, context);
    },
  };
}
