import { combinationTypes } from "../../lora/combination/types.js";
import { MAX_RANK } from "../../lora/spec.js";
import { choice, integer, number, option, text, texts, toggle } from "../option.js";
import { type OptionsOf, optionSet, type ValuesOf } from "../parse-options.js";
import { groups, model, seed } from "./common.js";

// What is done with adapters that are there: options of combine, resize, convert and extract.

const adapterWords = "a folder with adapter_config.json and adapter_model.safetensors, or a .gguf file of an adapter";

const adapter = (help: string) => option(text(adapterWords), { required: true, positional: true, value: "DIR", group: groups.files, help });

const newFolder = () =>
  option(text("a folder"), { required: true, value: "DIR", group: groups.files, help: "The new folder that receives the adapter." });

const itsModel = () =>
  option(text("an alias (smollm2-135m), a Hub id, a folder with config.json and safetensors, or a .gguf file"), {
    value: "MODEL",
    group: groups.files,
    without: "none; it is not needed",
    help: "The model of the adapters. Needed where one of PEFT starts from the weights (PiSSA, OLoRA), or is a .gguf file.",
  });

const rank = (without: string) =>
  option(integer({ min: 1, max: MAX_RANK }), {
    value: "N",
    group: groups.adapter,
    without,
    help: "Directions that each layer keeps, the strongest first; a layer that has fewer keeps them all.",
  });

const energy = () =>
  option(number({ above: 0, below: 1 }), {
    value: "SHARE",
    group: groups.adapter,
    without: "a rank decides",
    help: "Instead of --rank: each layer keeps as many directions as have this share of its change's energy, the sum of the squares of its singular values. 0.99 loses 10 % of the length of the change.",
  });

/** One of the two says how many directions are kept. */
const oneChoice = (given: Readonly<Record<string, unknown>>, where: (name: string) => string): string[] => {
  const count = ["rank", "energy"].filter((name) => given[name] !== undefined).length;
  return count === 1 ? [] : [`${where("rank")} or ${where("energy")}: give ${count === 2 ? "only " : ""}one of the two`];
};

export const combineSet = optionSet(
  "combine",
  "Make one adapter of several: a weighted sum, exact or reduced to a rank, or one of PEFT's other combinations.",
  {
    expression: option(text("a sum of adapters, such as 'style + 0.5*domain'"), {
      required: true,
      positional: true,
      value: "EXPRESSION",
      group: groups.files,
      help: "The sum, in quotation marks for the shell: names, numbers, + - * / and parentheses, such as 'style + 0.5*domain - base_bias'. A name is that of --adapter, or else a folder; a path stands in quotation marks of its own.",
    }),
    adapter: option(texts("NAME=DIR"), {
      value: "NAME=DIR",
      group: groups.files,
      without: "names are folders",
      help: "What a name of the expression stands for; repeat it for several.",
    }),
    out: newFolder(),
    type: option(choice(combinationTypes), {
      value: "TYPE",
      group: groups.adapter,
      without: "cat; svd with --rank or --energy",
      help: "How the adapters are combined, by PEFT's names: cat is the exact sum, whose rank is the sum of the ranks; svd reduces it; linear adds A to A and B to B, a rough approximation; ties and dare_* leave out what collides or at random; those with _svd do so with the whole changes.",
    }),
    rank: rank("the largest rank among the adapters, for svd and the types with _svd"),
    energy: energy(),
    density: option(number({ above: 0, max: 1 }), {
      default: 0.5,
      value: "SHARE",
      group: groups.adapter,
      help: "Share of the values that ties, dare_* and magnitude_prune keep of each adapter.",
    }),
    signs: option(choice(["total", "frequency"]), {
      default: "total",
      value: "RULE",
      group: groups.adapter,
      help: "How the types with ties choose the sign of a value: by the sum of the adapters' values, or by how many adapters have each sign.",
    }),
    seed: seed(groups.adapter, "Start of the randomness of the types with dare."),
    model: itsModel(),
    sameBase: option(toggle(), {
      default: false,
      group: groups.adapter,
      help: "Combine adapters that name different base models. Right only where both names mean the same weights, such as a folder and a Hub id.",
    }),
  },
  (given, where) => {
    const problems: string[] = [];
    const type = given.type ?? "svd";
    const isReducing = typeof type === "string" && type.endsWith("svd");
    for (const name of ["rank", "energy"])
      if (given[name] !== undefined && !isReducing)
        problems.push(`${where(name)}: the type ${String(type)} keeps its rank; take svd, or a type with _svd`);
    if (given.rank !== undefined && given.energy !== undefined)
      problems.push(`${where("rank")} or ${where("energy")}: give only one of the two`);
    return problems;
  },
);

export const resizeSet = optionSet(
  "resize",
  "Write an adapter with a lower rank: of each layer's change the strongest directions, with what is lost.",
  {
    adapter: adapter("The adapter to make smaller."),
    out: newFolder(),
    rank: rank("--energy decides"),
    energy: energy(),
    model: itsModel(),
  },
  oneChoice,
);

export const convertSet = optionSet(
  "convert",
  "Write an adapter of another form as a plain LoRA of PEFT: one of PEFT that changes its base (PiSSA, OLoRA, CorDA, LoRA-GA), or a checkpoint of Microsoft's loralib.",
  {
    adapter: option(text("the folder of an adapter, or a file of torch.save (.pt, .bin, .pth, .ckpt) of lora.lora_state_dict(model)"), {
      required: true,
      positional: true,
      value: "ADAPTER",
      group: groups.files,
      help: "The adapter to convert.",
    }),
    out: newFolder(),
    start: option(text("the folder of an adapter"), {
      value: "DIR",
      group: groups.files,
      without: "it is computed from --model",
      help: "The adapter as it was saved before its training, as PEFT's path_initial_model_for_weight_conversion.",
    }),
    model: option(text("an alias (smollm2-135m), a Hub id, a folder with config.json and safetensors, or a .gguf file"), {
      value: "MODEL",
      group: groups.files,
      without: "--start is given",
      help: "The model it was trained for. Of PEFT's, where the start is lost: it is computed again, for pissa (not pissa_niter) and olora. Of loralib's always.",
    }),
    alpha: option(number({ above: 0 }), {
      value: "N",
      group: groups.adapter,
      without: "needed for a checkpoint of loralib",
      help: "The lora_alpha of a checkpoint of loralib, which does not hold it; its rank is read from the shapes.",
    }),
    enableLora: option(text("true or false for each part, such as true,false,true"), {
      value: "LIST",
      group: groups.adapter,
      without: "all parts",
      help: "The enable_lora of a checkpoint of loralib with lora.MergedLinear, which does not hold it: which parts of its layers are adapted.",
    }),
  },
  (given, where) => {
    const count = ["start", "model"].filter((name) => given[name] !== undefined).length;
    const problems = count === 1 ? [] : [`${where("start")} or ${where("model")}: give ${count === 2 ? "only " : ""}one of the two`];
    if (given.alpha !== undefined && given.model === undefined)
      problems.push(`${where("alpha")}: belongs to a checkpoint of loralib, which needs ${where("model")}`);
    if (given.enableLora === undefined) return problems;
    if (given.alpha === undefined)
      problems.push(`${where("enableLora")}: belongs to a checkpoint of loralib, which needs ${where("alpha")}`);
    return problems;
  },
);

export const extractSet = optionSet(
  "extract",
  "Write the difference of two models as an adapter: of each linear layer's change the strongest directions, with what is lost.",
  {
    base: model(),
    tuned: option(text("an alias, a Hub id, a folder with config.json and safetensors, or a .gguf file"), {
      required: true,
      value: "MODEL",
      group: groups.files,
      help: "The model that was made of it, by full fine-tuning or by merging.",
    }),
    out: newFolder(),
    rank: rank("--energy decides"),
    energy: energy(),
  },
  oneChoice,
);

export type CombineOptions = OptionsOf<(typeof combineSet)["shape"]>;
export type CombineSettings = ValuesOf<(typeof combineSet)["shape"]>;
export type ResizeOptions = OptionsOf<(typeof resizeSet)["shape"]>;
export type ConvertOptions = OptionsOf<(typeof convertSet)["shape"]>;
export type ExtractOptions = OptionsOf<(typeof extractSet)["shape"]>;
