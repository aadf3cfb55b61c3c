import { tanh } from "../ops/soft-cap.js";
import type { Architecture, ClassificationHead, ClassificationTask, ModelGraph } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { linearHead, throughTrained, trainedLinear } from "./parts/label-scores.js";
import { readPostNormEncoder } from "./parts/post-norm-config.js";
import { postNormModel } from "./parts/post-norm-encoder.js";

// RoBERTa (Liu et al. 2019): BERT's encoder; positions begin behind the row of the padding token. XLM-RoBERTa and CamemBERT differ by
// their vocabulary.

export const roberta: Architecture = { modelTypes: ["roberta", "xlm-roberta", "camembert"], read: readRoberta };

const PREFIX = "roberta.";

function readRoberta(json: Readonly<Record<string, unknown>>): ModelGraph {
  const config = new ConfigReader(json);
  const padding = json.pad_token_id === 0 ? 0 : config.count("pad_token_id", 1);
  const encoder = readPostNormEncoder(config, PREFIX, padding + 1);
  const deviation = config.positive("initializer_range", 0.02);
  const modelType = config.text("model_type", "roberta");
  return postNormModel(modelType, encoder, (task, labels) => head(task, encoder.dimensions.hidden, labels, deviation));
}

/** The first token's state through two layers with a tanh between them, all of it trained (`RobertaClassificationHead`). */
function head(task: ClassificationTask, hidden: number, labels: number, deviation: number): ClassificationHead {
  if (task === "token") return linearHead("each", { name: "classifier", inputs: hidden, outputs: labels, hasBias: true, deviation });
  const dense = { name: "classifier.dense", inputs: hidden, outputs: hidden, hasBias: true, deviation };
  const output = { name: "classifier.out_proj", inputs: hidden, outputs: labels, hasBias: true, deviation };
  return {
    reads: "first",
    modules: ["classifier"],
    parameters: [...trainedLinear(dense), ...trainedLinear(output)],
    weights: new Map(),
    linearGroups: [],
    logits: (x, context) => throughTrained(tanh(throughTrained(x, dense.name, true, context)), output.name, true, context),
  };
}
