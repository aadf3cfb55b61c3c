import { readFileSync } from "node:fs";
import * as z from "zod";
import { InputError } from "../../errors.js";
import type { GenerateOptions, GenerateRequest, LanguageModel, LoadedAdapter, Message, Workflows } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { progressReporter } from "../render/progress.js";
import type { Screen } from "../screen.js";
import { adaptersOf, namingLines, readPromptRows, showRows } from "./generate-rows.js";

/** `lorikeet generate`: streams the answer; with several adapters each answers in turn, or each row of a file that names it. */
export const body: CommandBody<GenerateOptions> = async (options, { screen, interrupts, workflows }) => {
  const {
    model: name,
    adapter,
    prompt,
    system,
    messages: file,
    prompts,
    batchSize,
    merged,
    precision,
    device,
    threads,
    ...sampling
  } = options;
  const { signal } = interrupts;
  const rows = prompts === undefined ? undefined : await readPromptRows(prompts);
  const messages = file === undefined ? promptMessages(prompt ?? "", system) : readMessages(file);
  const adapters = adapterList(adapter);
  const onProgress = progressReporter(screen);
  const model = await workflows.loadModel(name, { adapters, merged, precision, device, threads, signal, onProgress });
  screen.endLive();
  for (const note of model.notes) screen.warn(note);
  try {
    if (rows === undefined || prompts === undefined) await inTurn(model, { ...sampling, messages, signal }, screen, workflows);
    else {
      const chosen = adaptersOf(rows, model, prompts);
      const requests = rows.map(({ asked }, row) => ({ ...sampling, ...asked, adapter: chosen[row] ?? null }));
      const pieces = workflows.generateBatch(model, requests, { ...(batchSize === undefined ? {} : { batchSize }), signal });
      await showRows(namingLines(pieces, rows, prompts), chosen, screen);
    }
  } finally {
    await model.dispose();
  }
  return signal.aborted ? exitCodes.interrupted : exitCodes.done;
};

/** Each adapter of the model answers, or the model alone. */
async function inTurn(model: LanguageModel, request: GenerateRequest, screen: Screen, workflows: Workflows): Promise<void> {
  const choices: readonly (LoadedAdapter | null)[] = model.adapters.length === 0 ? [null] : model.adapters;
  for (const choice of choices) {
    if (choices.length > 1) screen.note(screen.paintNotes("bold", `── ${choice?.name ?? model.name}`));
    let text = "";
    for await (const piece of workflows.generate(model, { ...request, adapter: choice })) {
      text += piece;
      screen.stream(piece);
    }
    screen.stream("\n");
    screen.json({ adapter: choice?.directory ?? null, text });
  }
}

/** The option that may be given once or several times, as a list. */
export function adapterList(adapter: string | readonly string[] | undefined): readonly string[] {
  return adapter === undefined ? [] : typeof adapter === "string" ? [adapter] : adapter;
}

function promptMessages(prompt: string, system: string | undefined): Message[] {
  const user = { role: "user", content: prompt };
  return system === undefined ? [user] : [{ role: "system", content: system }, user];
}

const messageList = z.array(z.looseObject({ role: z.string(), content: z.string() })).min(1);

function readMessages(path: string): Message[] {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new InputError(`${path}: expected a .json file: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const parsed = messageList.safeParse(value);
  if (parsed.success) return parsed.data;
  const at = parsed.error.issues[0]?.path.join(".") ?? "";
  throw new InputError(
    `${path}: expected a list of {"role": text, "content": text}; found something else at ${at === "" ? "the top" : at}`,
  );
}
