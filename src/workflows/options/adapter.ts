import * as z from "zod";
import { MAX_RANK } from "../../lora/spec.js";
import { methods } from "../../lora/variants/index.js";
import { biasChoices } from "../../lora/whole-tensors.js";
import { choice, integer, number, option, toggle } from "../option.js";
import { groups } from "./common.js";
import { blockNumbers, layerSelection, moduleNames, numbersByLayer, tokenList } from "./layer-kinds.js";

/** The method that trains every weight of the model, and no adapter. */
export const FULL = "full";

/** What is trained: the kind of adapter, its size and strength, its layers, its start, and what is trained whole beside it. */
export const adapterShape = {
  method: option(choice([...methods, FULL]), {
    default: "lora",
    value: "METHOD",
    group: groups.adapter,
    help: "The kind of adapter: lora (two small matrices beside each layer), dora (the size of each weight row is trained apart: often better at small ranks, slower), pissa or olora (lora that starts from the main directions of the weights: often faster at first), eva (from the main directions of what the layers read in your data, with ranks where they explain most), loftq (beside weights in 4 bits: starts as the best correction of what rounding took from them), lora-fa (only the second matrix is trained: less memory), lora-bias (the second matrix has a bias too), vera (two vectors a layer between random matrices that all share: by far the fewest trained numbers; takes a --rank of 256 and more), adalora (ranks that matter least are taken away during training, so that layers get what they need). full is no adapter: all weights of the model are trained, and a whole model is written. docs/methods.md compares them.",
  }),
  rank: option(integer({ min: 1, max: MAX_RANK }), {
    default: 16,
    value: "N",
    group: groups.adapter,
    help: "Width of the small matrices, the adapter's capacity. Raise it to 32 or 64 if the training loss stays high; lower it for a smaller file and little data.",
  }),
  alpha: option(number({ above: 0, max: 1e6 }), {
    default: 32,
    value: "NUMBER",
    group: groups.adapter,
    help: "Strength of the adapter: its output is multiplied by alpha / rank. Twice the rank is a good start; change it together with the rank.",
  }),
  dropout: option(number({ min: 0, below: 1 }), {
    default: 0,
    value: "SHARE",
    group: groups.adapter,
    help: "Share of the adapter's inputs that is zeroed at random in training. Try 0.05 to 0.1 if validation loss rises while training loss falls.",
  }),
  layers: option(layerSelection(), {
    default: "all-linear",
    value: "LAYERS",
    group: groups.adapter,
    help: "Layers that get an adapter: all-linear, names such as q_proj,v_proj (embed_tokens and lm_head too, which all-linear leaves out), a regular expression as /…/, or peft for those that PEFT takes where target_modules is not given (q_proj and v_proj of most models). Fewer layers train faster and learn less.",
  }),
  svdRounds: option(integer({ min: 0, max: 1000 }), {
    default: 4,
    value: "N",
    group: groups.adapter,
    help: "With pissa, eva and loftq: rounds in which the main directions of each weight, of what it reads or of what rounding took are found, closer with each; 0 for exactly, which takes seconds for every layer.",
  }),
  rho: option(number({ min: 1, max: MAX_RANK }), {
    default: 2,
    value: "FACTOR",
    group: groups.adapter,
    help: "With eva: how many times its rank a layer may get when ranks move to the layers whose inputs vary in more directions. 1 leaves every layer its own.",
  }),
  loftqRounds: option(integer({ min: 1, max: 100 }), {
    default: 1,
    value: "N",
    group: groups.adapter,
    help: "With loftq: how often the weights are rounded, each time but the first without what the adapter already makes up for. More than 5 gain little.",
  }),
  targetRank: option(integer({ min: 1, max: MAX_RANK }), {
    value: "N",
    group: groups.adapter,
    without: "two thirds of --rank; with adalora alone",
    help: "With adalora: mean rank of the layers at the end; they begin with --rank.",
  }),
  pruneFrom: option(number({ min: 0, below: 1 }), {
    default: 0.1,
    value: "SHARE",
    group: groups.adapter,
    help: "With adalora: share of the run before ranks begin to fall. Raise it if the loss has not settled by then.",
  }),
  pruneUntil: option(number({ above: 0, max: 1 }), {
    default: 0.7,
    value: "SHARE",
    group: groups.adapter,
    help: "With adalora: share of the run at which the last ranks have fallen; the rest trains with what is left.",
  }),
  pruneEvery: option(integer({ min: 1, max: 1e9 }), {
    default: 10,
    value: "N",
    unit: "updates",
    group: groups.adapter,
    help: "With adalora: updates between two prunings. Lower it in runs of few hundred updates.",
  }),
  orthogonality: option(number({ min: 0, max: 1e6 }), {
    default: 0.5,
    value: "WEIGHT",
    group: groups.adapter,
    help: "With adalora: weight of the penalty that keeps the rows of A and the columns of B at right angles, so that ranks can be judged one by one.",
  }),
  startBatches: option(integer({ min: 1, max: 1e6 }), {
    default: 8,
    value: "N",
    unit: "batches",
    group: groups.adapter,
    help: "With eva: batches of the training data in which it is measured what the layers read. Each costs about a third of an update for every round. Raise it if texts differ much.",
  }),
  rslora: option(toggle(), {
    default: false,
    group: groups.adapter,
    help: "Multiply the adapter's output by alpha / √rank instead (rsLoRA). Turn it on for ranks of 64 and more, which learn little otherwise, and lower alpha.",
  }),
  exclude: option(layerSelection(), {
    value: "LAYERS",
    group: groups.adapter,
    help: "Layers of --layers that get no adapter after all, named in the same way.",
  }),
  blocks: option(blockNumbers(), {
    value: "NUMBERS",
    group: groups.adapter,
    help: "Blocks of the model that alone get adapters, such as 12-23: the upper half of 24. Fewer blocks train faster and learn less.",
  }),
  rankPattern: option(numbersByLayer(z.int().min(1).max(MAX_RANK), "ranks"), {
    value: "RANKS",
    group: groups.adapter,
    help: "Ranks of layers that differ from --rank, such as q_proj=8,layers.0.mlp.up_proj=64; the first that matches holds.",
  }),
  alphaPattern: option(numbersByLayer(z.number().gt(0).max(1e6), "alphas"), {
    value: "ALPHAS",
    group: groups.adapter,
    help: "Alphas of layers that differ from --alpha, in the same way. Give the layers of --rank-pattern theirs, if their strength shall be that of the others.",
  }),
  bias: option(choice(biasChoices), {
    default: "none",
    value: "WHICH",
    group: groups.adapter,
    help: "Biases of the model that are trained too: none, all, or lora_only (those of the layers with an adapter). They are few, and the model without the adapter stays as it was.",
  }),
  modulesToSave: option(moduleNames(), {
    value: "MODULES",
    group: groups.adapter,
    without: "none",
    help: "Modules that are trained whole beside the adapter, such as lm_head, embed_tokens or model.norm. For new words and formats that an adapter alone does not learn; a head or table takes much memory.",
  }),
  trainableTokens: option(tokenList(), {
    value: "TOKENS",
    group: groups.adapter,
    without: "none",
    help: "Tokens whose embeddings are trained too, by their text or as ids, such as '<|tool|>,<|end|>'; a head that is tied to the table sees them. For tokens that you have added, whose embeddings mean nothing yet: far less memory than the whole table.",
  }),
  tieWeights: option(toggle(), {
    default: false,
    group: groups.adapter,
    help: "Keep a table of embeddings and the head that is tied to it one, where --modules-to-save names either. Without it each becomes a matrix of its own, as in PEFT.",
  }),
  initialisation: option(choice(["gaussian", "peft"]), {
    default: "gaussian",
    value: "NAME",
    group: groups.adapter,
    help: "How matrix A starts: gaussian (as in the LoRA paper) or peft (as PEFT does). Choose peft to compare runs with Python.",
  }),
};
