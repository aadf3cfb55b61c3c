import { InputError } from "../errors.js";
import type { Piece } from "./added-tokens.js";
import type { Rendering } from "./marked-rendering.js";
import type { Span } from "./markers.js";
import { generationPromptOf, type RenderOptions, renderChat, templateSource } from "./template.js";
import type { Message, TextCodec } from "./tokenizer.js";

/** True for an answer that the template writes from more than its content (calls of tools), or from no content at all. */
export const isWrittenByTemplate = (message: Message): boolean => message.content.trim() === "" || (message.tool_calls?.length ?? 0) > 0;

/** The names of the functions that a message calls. */
const calledNames = (message: Message): string[] =>
  (message.tool_calls ?? []).flatMap((call) => {
    const one = call as { function?: { name?: unknown }; name?: unknown } | null;
    const name = one?.function?.name ?? one?.name;
    return typeof name === "string" ? [name] : [];
  });

/** @throws InputError where the written turn of a message lacks a call that the message makes. */
export function refuseLostCalls(message: Message | undefined, index: number, turn: string): void {
  const lost = message === undefined ? [] : calledNames(message).filter((name) => !turn.includes(name));
  if (lost.length === 0) return;
  throw new InputError(
    `Message ${index + 1} (assistant) calls ${lost.join(", ")}, but the model's chat template does not write tool calls: the model would learn ` +
      "to stop in their place. Leave this conversation out, or train on a model whose template supports tool calls.",
  );
}

/** What the template writes to have the assistant answer (`<|im_start|>assistant\n`), undefined where it writes nothing that can be found. */
function answerHeader(codec: TextCodec, messages: readonly Message[], options: RenderOptions): string | undefined {
  const constant = generationPromptOf(templateSource(codec, options.tools));
  if (constant !== undefined) return constant.trim() === "" ? undefined : constant;
  const first = messages.findIndex((message) => message.role === "assistant");
  for (const part of [messages.slice(0, first), messages]) {
    if (part.length === 0) continue;
    try {
      const before = renderChat(codec, part, options);
      const prompt = renderChat(codec, part, { ...options, addGenerationPrompt: true });
      if (prompt.startsWith(before) && prompt.slice(before.length).trim() !== "") return prompt.slice(before.length);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }
  return undefined;
}

/**
 * The turn of each answer, from the end of the prompt for it to the control token that ends it. Undefined where the prompts in the
 * text are not as many as the answers, or a turn has no end.
 */
export function answerTurns(
  codec: TextCodec,
  messages: readonly Message[],
  { text, spans }: Rendering,
  pieces: readonly Piece[],
  options: RenderOptions,
): { index: number; span: Span }[] | undefined {
  const header = answerHeader(codec, messages, options);
  if (header === undefined) return undefined;
  const starts: number[] = [];
  for (let at = text.indexOf(header); at >= 0; at = text.indexOf(header, at + header.length)) {
    if (!spans.some((span) => at < span.end && at + header.length > span.start)) starts.push(at);
  }
  const answers = messages.flatMap((message, index) => (message.role === "assistant" ? [index] : []));
  if (starts.length !== answers.length) return undefined;
  const turns = answers.map((index, k) => {
    const start = (starts[k] ?? 0) + header.length;
    const tokens = pieces.filter(
      (piece) => piece.token !== undefined && piece.start >= start && piece.start < (starts[k + 1] ?? text.length),
    );
    const end = tokens.find((piece) => codec.endOfTurnIds.includes(piece.token?.id ?? -1)) ?? tokens[0];
    return end === undefined ? undefined : { index, span: { start, end: end.start, learned: true } };
  });
  return turns.every((turn) => turn !== undefined) ? turns : undefined;
}

/**
 * The stretch that the template writes for an answer without findable content (calls of tools): from where the prompt for the
 * answer ends to the end of the turn. Undefined where the template's prompt is not a prefix of its conversation.
 */
function templateWrittenSpan(
  codec: TextCodec,
  messages: readonly Message[],
  index: number,
  text: string,
  options: RenderOptions,
): Span | undefined {
  const prompt = renderChat(codec, messages.slice(0, index), { ...options, addGenerationPrompt: true });
  const turn = renderChat(codec, messages.slice(0, index + 1), options);
  if (!text.startsWith(prompt) || !text.startsWith(turn) || turn.length < prompt.length) return undefined;
  return { start: prompt.length, end: turn.trimEnd().length, learned: true };
}

/** Such stretches for all learned messages that need one. @throws InputError where calls of tools are not in the text or not to be found in it. */
export function templateWrittenSpans(
  codec: TextCodec,
  messages: readonly Message[],
  learned: readonly boolean[],
  text: string,
  options: RenderOptions,
): Span[] {
  return messages.flatMap((message, index) => {
    if (!learned[index] || !isWrittenByTemplate(message)) return [];
    const calls = (message.tool_calls?.length ?? 0) > 0;
    if (!calls && index === 0) return [];
    const span = templateWrittenSpan(codec, messages, index, text, options);
    if (span === undefined && calls) {
      throw new InputError(
        `Message ${index + 1} (assistant, with tool calls) cannot be found in the rendered text, because the model's chat template writes it ` +
          "differently inside a conversation than at its end. Leave this conversation out, or train on a model whose template supports tool calls.",
      );
    }
    if (span === undefined) return [];
    refuseLostCalls(message, index, text.slice(span.start, span.end));
    return [span];
  });
}
