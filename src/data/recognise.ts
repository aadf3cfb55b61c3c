import leven from "leven";
import { parseJsonText } from "../files/parse-json.js";
import type { Message } from "../text/tokenizer.js";
import type { Row, RowForm, SourceRow } from "./row.js";

/** A row that was understood, or what is wrong with it ("expected …, found …"). */
export type Recognised = Omit<SourceRow, "source"> | { readonly problem: string };

/** What a wrong row throws inside this file; `recogniseRow` turns it into the row's problem. */
class RowProblem extends Error {}

const fail = (problem: string): never => {
  throw new RowProblem(problem);
};

type Fields = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** Names a value for a message: its kind, and its beginning where that helps. */
function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "an object";
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function stringAt(fields: Fields, key: string): string {
  const value = fields[key];
  return typeof value === "string" ? value : fail(`expected "${key}" to be a string, found ${describe(value)}`);
}

function optionalString(fields: Fields, key: string): string | undefined {
  return fields[key] === undefined || fields[key] === null ? undefined : stringAt(fields, key);
}

/** The text of a message: a string, or a list of text parts; null where it only calls tools. */
function contentOf(value: unknown, where: string, mayBeMissing: boolean): string {
  if (typeof value === "string") return value;
  if ((value === null || value === undefined) && mayBeMissing) return "";
  if (Array.isArray(value)) {
    const parts = value.map((part: unknown) => {
      if (typeof part === "string") return part;
      if (isRecord(part) && typeof part.text === "string" && (part.type === undefined || part.type === "text")) return part.text;
      return fail(
        `${where}: expected parts of type "text", found ${isRecord(part) ? describe(part.type) : describe(part)}; Lorikeet trains on text alone`,
      );
    });
    return parts.join("");
  }
  return fail(`${where}: expected "content" to be a string, found ${describe(value)}`);
}

/** Arguments written as JSON text (OpenAI's form) become the object that chat templates expect. */
function readToolCall(call: unknown): unknown {
  if (!isRecord(call) || !isRecord(call.function) || typeof call.function.arguments !== "string") return call;
  try {
    const parsed: unknown = parseJsonText(call.function.arguments);
    return isRecord(parsed) ? { ...call, function: { ...call.function, arguments: parsed } } : call;
  } catch {
    return call;
  }
}

function readMessage(value: unknown, where: string): Message {
  if (!isRecord(value)) return fail(`${where}: expected an object with "role" and "content", found ${describe(value)}`);
  const { role, content, tool_calls, ...rest } = value;
  if (typeof role !== "string" || role === "") return fail(`${where}: expected "role" to be a string, found ${describe(role)}`);
  if (tool_calls !== undefined && tool_calls !== null && !Array.isArray(tool_calls)) {
    return fail(`${where}: expected "tool_calls" to be a list, found ${describe(tool_calls)}`);
  }
  const calls = Array.isArray(tool_calls) && tool_calls.length > 0 ? { tool_calls: tool_calls.map(readToolCall) } : {};
  const extra = Object.fromEntries(Object.entries(rest).filter(([, one]) => one !== null && one !== undefined));
  return { ...extra, role, content: contentOf(content, where, "tool_calls" in calls), ...calls };
}

function readMessages(value: unknown, key: string): Message[] {
  if (!Array.isArray(value) || value.length === 0) return fail(`expected "${key}" to be a list of messages, found ${describe(value)}`);
  return value.map((message, index) => readMessage(message, `"${key}"[${index}]`));
}

/** Tools: a list, or the JSON text of one (as tables store it). */
function readTools(value: unknown): { tools?: readonly unknown[] } {
  if (value === undefined || value === null || value === "") return {};
  const list = typeof value === "string" ? parseJson(value, "tools") : value;
  if (!Array.isArray(list)) return fail(`expected "tools" to be a list, found ${describe(value)}`);
  return list.length === 0 ? {} : { tools: list };
}

/** Variables of the chat template, such as `{"enable_thinking": false}`: an object, or the JSON text of one. */
function readTemplateVariables(value: unknown): { templateVariables?: Fields } {
  if (value === undefined || value === null || value === "") return {};
  const variables = typeof value === "string" ? parseJson(value, "chat_template_kwargs", "an object") : value;
  if (!isRecord(variables)) return fail(`expected "chat_template_kwargs" to be an object, found ${describe(value)}`);
  return Object.keys(variables).length === 0 ? {} : { templateVariables: variables };
}

function parseJson(text: string, key: string, kind = "a list"): unknown {
  try {
    return parseJsonText(text);
  } catch {
    return fail(`expected "${key}" to be ${kind} or the JSON text of one, found ${describe(text)}`);
  }
}

const systemMessage = (system: string | undefined): Message[] =>
  system === undefined || system === "" ? [] : [{ role: "system", content: system }];

function fromMessages(fields: Fields): Row {
  const value = typeof fields.messages === "string" ? parseJson(fields.messages, "messages") : fields.messages;
  const messages = readMessages(value, "messages");
  const system = messages[0]?.role === "system" ? [] : systemMessage(optionalString(fields, "system"));
  return {
    kind: "chat",
    messages: [...system, ...messages],
    learnFrom: 0,
    ...readTools(fields.tools),
    ...readTemplateVariables(fields.chat_template_kwargs),
  };
}

function fromPromptCompletion(fields: Fields): Row {
  const { prompt, completion } = fields;
  const system = optionalString(fields, "system");
  if (!Array.isArray(prompt) && !Array.isArray(completion)) {
    const texts = { prompt: stringAt(fields, "prompt"), completion: stringAt(fields, "completion") };
    return { kind: "completion", ...texts, ...(system === undefined || system === "" ? {} : { system }) };
  }
  const asked = typeof prompt === "string" ? [{ role: "user", content: prompt }] : readMessages(prompt, "prompt");
  const answered = typeof completion === "string" ? [{ role: "assistant", content: completion }] : readMessages(completion, "completion");
  const before = asked[0]?.role === "system" ? asked : [...systemMessage(system), ...asked];
  return {
    kind: "chat",
    messages: [...before, ...answered],
    learnFrom: before.length,
    ...readTools(fields.tools),
    ...readTemplateVariables(fields.chat_template_kwargs),
  };
}

/** Taori et al. 2023 (Stanford Alpaca): instruction, optional input, output. */
function fromAlpaca(fields: Fields): Row {
  const instruction = stringAt(fields, "instruction");
  const input = optionalString(fields, "input") ?? "";
  const system = optionalString(fields, "system");
  return {
    kind: "completion",
    prompt: input.trim() === "" ? instruction : `${instruction}\n\n${input}`,
    completion: stringAt(fields, "output"),
    ...(system === undefined || system === "" ? {} : { system }),
  };
}

/** The names that ShareGPT files give to the speakers. */
const speakers: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  chatgpt: "assistant",
  bing: "assistant",
  bard: "assistant",
  model: "assistant",
  function_call: "assistant",
  system: "system",
  tool: "tool",
  function: "tool",
  function_response: "tool",
  observation: "tool",
};

function fromShareGpt(fields: Fields): Row {
  const value = typeof fields.conversations === "string" ? parseJson(fields.conversations, "conversations") : fields.conversations;
  if (!Array.isArray(value) || value.length === 0) return fail(`expected "conversations" to be a list of turns, found ${describe(value)}`);
  const messages = value.map((turn: unknown, index) => {
    const where = `"conversations"[${index}]`;
    if (!isRecord(turn)) return fail(`${where}: expected an object with "from" and "value", found ${describe(turn)}`);
    if (turn.from === undefined && turn.role !== undefined) return readMessage(turn, where);
    const from = turn.from;
    const role = typeof from === "string" && Object.hasOwn(speakers, from) ? speakers[from] : undefined;
    if (role === undefined)
      return fail(`${where}: expected "from" to be one of ${Object.keys(speakers).join(", ")}, found ${describe(from)}`);
    if (typeof turn.value !== "string") return fail(`${where}: expected "value" to be a string, found ${describe(turn.value)}`);
    return { role, content: turn.value };
  });
  const system = messages[0]?.role === "system" ? [] : systemMessage(optionalString(fields, "system"));
  return {
    kind: "chat",
    messages: [...system, ...messages],
    learnFrom: 0,
    ...readTools(fields.tools),
    ...readTemplateVariables(fields.chat_template_kwargs),
  };
}

interface Form {
  readonly form: RowForm;
  /** Every one of these keys marks the form. */
  readonly keys: readonly string[];
  readonly read: (fields: Fields) => Row;
}

/** In the order in which they are tried; the first whose keys are all there is the row's form. */
const forms: readonly Form[] = [
  { form: "messages", keys: ["messages"], read: fromMessages },
  { form: "sharegpt", keys: ["conversations"], read: fromShareGpt },
  { form: "prompt-completion", keys: ["prompt", "completion"], read: fromPromptCompletion },
  { form: "alpaca", keys: ["instruction", "output"], read: fromAlpaca },
  { form: "text", keys: ["text"], read: (fields) => ({ kind: "text", text: stringAt(fields, "text") }) },
];

/** Names that other tools give to the same thing. */
const otherNames: Readonly<Record<string, string>> = {
  response: "completion",
  answer: "completion",
  question: "prompt",
  query: "prompt",
  conversation: "conversations",
  dialog: "messages",
  chat: "messages",
  content: "text",
  document: "text",
};

/** Rows that other tasks than answering have. */
const otherTasks: readonly { readonly keys: readonly string[]; readonly task: string }[] = [
  { keys: ["anchor", "positive"], task: "embedding" },
  { keys: ["tokens", "labels"], task: "token-classification" },
];

/** How many letters a name may be off to count as a slip. */
const slip = 2;

/** A found key that looks like a missing one, as advice. */
function adviceFor(found: readonly string[], missing: readonly string[]): string {
  for (const wanted of missing) {
    const near =
      found.find((key) => key.toLowerCase() !== wanted && leven(key.toLowerCase(), wanted) <= slip) ??
      found.find((key) => key !== wanted && key.toLowerCase() === wanted);
    const other = near ?? found.find((key) => Object.hasOwn(otherNames, key.toLowerCase()) && otherNames[key.toLowerCase()] === wanted);
    if (other !== undefined) return `; rename ${JSON.stringify(other)} to "${wanted}"`;
  }
  return "";
}

const listed = (keys: readonly string[]): string => keys.map((key) => JSON.stringify(key)).join(", ");

function unknownForm(fields: Fields): string {
  const found = Object.keys(fields);
  const shown = found.length === 0 ? "no keys" : listed(found.slice(0, 12));
  // A form of which half is there: only the other half is missing.
  const half = forms.find(({ keys }) => keys.length > 1 && keys.some((key) => key in fields));
  if (half !== undefined) {
    const missing = half.keys.filter((key) => !(key in fields));
    return `expected ${listed(missing)} beside ${listed(half.keys.filter((key) => key in fields))}, found ${shown}${adviceFor(found, missing)}`;
  }
  const all = forms.map(({ keys }) => `{${listed(keys)}}`).join(" or ");
  const wanted = forms.flatMap(({ keys }) => keys);
  const task = otherTasks.find(({ keys }) => keys.every((key) => key in fields));
  const advice = task === undefined ? adviceFor(found, wanted) : `; rows of this form are learned with --task ${task.task}`;
  return `expected the keys ${all}, found ${shown}${advice}`;
}

/** Recognises a parsed row by its keys. */
export function recogniseRow(value: unknown): Recognised {
  if (!isRecord(value)) return { problem: `expected an object, found ${describe(value)}` };
  const form = forms.find(({ keys }) => keys.every((key) => key in value));
  if (form === undefined) return { problem: unknownForm(value) };
  try {
    const hasLabel = form.form === "text" && value.label !== undefined && value.label !== null;
    return { row: form.read(value), form: form.form, ...(hasLabel ? { hasLabel: true } : {}) };
  } catch (error) {
    if (error instanceof RowProblem) return { problem: error.message };
    throw error;
  }
}
