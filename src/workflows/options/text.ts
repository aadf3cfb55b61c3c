import { integer, number, option, text, texts, toggle } from "../option.js";
import { type OptionsOf, optionSet, type ValuesOf } from "../parse-options.js";
import { groups, machineShape, maxNewTokens, model, seed } from "./common.js";

const group = groups.writing;

/** How the next token is chosen and when an answer ends. */
const samplingShape = {
  maxNewTokens: maxNewTokens(),
  temperature: option(number({ min: 0, max: 100 }), {
    default: 0,
    value: "NUMBER",
    group,
    help: "How freely words are chosen: 0 always takes the likeliest; try 0.7 for varied text.",
  }),
  topK: option(integer({ min: 1, max: 10_000_000 }), {
    value: "N",
    group,
    without: "all tokens",
    help: "Choose among the N likeliest tokens only. Matters with a temperature; try 40 if the text goes astray.",
  }),
  topP: option(number({ above: 0, max: 1 }), {
    value: "SHARE",
    group,
    without: "all tokens",
    help: "Choose among the likeliest tokens that together have this probability. Matters with a temperature; try 0.9.",
  }),
  repetitionPenalty: option(number({ above: 0, max: 100 }), {
    default: 1,
    value: "NUMBER",
    group,
    help: "Above 1, tokens already in the text become less likely. Try 1.1 if the text repeats itself.",
  }),
  stop: option(texts("a text that ends the answer"), {
    value: "TEXT",
    group,
    without: "the model's own end of turn",
    help: "End the answer before this text. May be given several times.",
  }),
  seed: seed(group, "Start of the randomness. The same seed gives the same text; matters with a temperature."),
};

const adapters = (help: string) =>
  option(texts("a folder with an adapter, or a .gguf file of one"), {
    value: "DIR",
    group: groups.files,
    without: "the model as it is",
    help,
  });

const system = () =>
  option(text("a text"), {
    value: "TEXT",
    group,
    without: "the model's own, if its template has one",
    help: "Instruction that stands before the conversation. Use the one that the adapter was trained with.",
  });

const batchShape = {
  batchSize: option(integer({ min: 1, max: 4096 }), {
    default: 8,
    value: "N",
    unit: "rows",
    group,
    help: "How many of --prompts are answered together at most. More are faster in all, and take more memory.",
  }),
};

const generateShape = {
  model: model(),
  adapter: adapters("An adapter to apply. May be given several times: each adapter then answers in turn."),
  prompt: option(text("a text"), { value: "TEXT", group, help: "What to say to the model." }),
  system: system(),
  messages: option(text("a .json file with a list of messages"), {
    value: "FILE",
    group,
    help: 'A conversation to continue, instead of --prompt: a .json file with a list of {"role", "content"}.',
  }),
  prompts: option(text("a .jsonl file of prompts, or - for standard input"), {
    value: "FILE",
    group,
    help: 'Many prompts, answered together, instead of --prompt: a .jsonl file with a {"prompt"} or {"messages"} a line, which may name its "adapter" (null for none), or - for standard input.',
  }),
  ...batchShape,
  ...samplingShape,
  merged: option(toggle(), {
    default: false,
    group: groups.adapter,
    help: "Fold the one adapter into the weights before generating. The same text; loading takes longer.",
  }),
  ...machineShape("answering"),
};

export const generateSet = optionSet(
  "generate",
  "Write an answer to a prompt, with or without an adapter.",
  generateShape,
  (given, where) => {
    const problems: string[] = [];
    const asked = ["prompt", "messages", "prompts"].filter((name) => name in given);
    if (asked.length !== 1) problems.push(`give either ${where("prompt")}, ${where("messages")} or ${where("prompts")}`);
    for (const name of asked.filter((each) => each !== "prompt" && "system" in given)) {
      problems.push(`${where("system")} belongs to ${where("prompt")}; with ${where(name)} write it as the first message of the file`);
    }
    if ("batchSize" in given && !("prompts" in given)) problems.push(`${where("batchSize")} belongs to ${where("prompts")}`);
    const count = Array.isArray(given.adapter) ? given.adapter.length : given.adapter === undefined ? 0 : 1;
    if (given.merged === true && count !== 1) problems.push(`${where("merged")} takes exactly one ${where("adapter")}; found ${count}`);
    return problems;
  },
);

export const chatSet = optionSet("chat", "Talk with a model in the terminal, its adapters switched on and off at will.", {
  model: model(),
  adapter: adapters("An adapter to apply. May be given several times; /adapter NAME switches in the conversation."),
  system: system(),
  ...samplingShape,
  ...machineShape("answering"),
});

/** How a caller of `generate` in the library chooses tokens; the same options as on the command line. */
export type SamplingOptions = OptionsOf<typeof samplingShape>;
export type SamplingSettings = ValuesOf<typeof samplingShape>;
/** The sampling options alone, for the library's `generate`. */
export const samplingSet = optionSet("generate", "Write an answer.", samplingShape);
/** How several requests are answered together, in the library. */
export const batchSet = optionSet("generateBatch", "Answer several requests together.", batchShape);
export type BatchSettings = ValuesOf<typeof batchShape>;
export type GenerateOptions = OptionsOf<typeof generateShape>;
export type ChatOptions = OptionsOf<(typeof chatSet)["shape"]>;
