import { InputError } from "../errors.js";
import { type Piece, splitAtTokens } from "./added-tokens.js";
import type { AlignedText } from "./bare-tokenizer.js";
import { chooseMarkers, type Markers, markMessages, markTools, readMarkers, type Span } from "./markers.js";
import { hasGenerationTags, type RenderOptions, runTemplate, templateSource, withGenerationMarkers } from "./template.js";
import type { Message, TextCodec } from "./tokenizer.js";

export interface EncodedChat {
  readonly ids: number[];
  /** For each token, whether the model is to learn it. */
  readonly supervised: boolean[];
}

export interface EncodeChatOptions {
  readonly tools?: readonly unknown[] | undefined;
  /** Index of the first message that may be learned; messages before it are shown alone. Default 0. */
  readonly learnFrom?: number;
  /** Further variables of the template (`enable_thinking`). */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** The conversation as the model's own template writes it. @throws InputError when the template refuses it. */
export function renderChat(codec: TextCodec, messages: readonly Message[], options: RenderOptions = {}): string {
  return runTemplate(templateSource(codec, options.tools), codec, messages, options);
}

/** A rendering whose stretches are known: text, what came from messages, and what of it is learned. */
interface Rendering {
  readonly text: string;
  readonly spans: readonly Span[];
}

const isLearned = (message: Message, index: number, learnFrom: number): boolean =>
  message.role === "assistant" && index >= learnFrom && message.weight !== 0;

/** True for an answer that the template writes from more than its content (calls of tools), or from no content at all. */
const isWrittenByTemplate = (message: Message): boolean => message.content.trim() === "" || (message.tool_calls?.length ?? 0) > 0;

/**
 * Renders with markers around the contents. The text with the markers taken out must equal the plain rendering; where it does
 * not, the template looks at its contents (trims them, most often), and the markers move inside the outer whitespace.
 */
function renderMarked(
  codec: TextCodec,
  messages: readonly Message[],
  learned: readonly boolean[],
  markers: Markers,
  options: RenderOptions,
  source = templateSource(codec, options.tools),
): Rendering | undefined {
  const plain = renderChat(codec, messages, options);
  const tools = markTools(codec, options.tools, markers);
  for (const placement of ["whole", "trimmed", "after-thoughts"] as const) {
    let rendered: string;
    try {
      rendered = runTemplate(source, codec, markMessages(codec, messages, learned, markers, placement), { ...options, tools });
    } catch (error) {
      if (error instanceof InputError) continue;
      throw error;
    }
    const read = readMarkers(rendered, markers);
    if (read?.text === plain) return read;
  }
  return undefined;
}

/**
 * Renders with the template's own `{% generation %}` tags as the learned stretches; the contents are marked as plain text where
 * the template leaves them as they are.
 */
function renderGenerationTags(
  codec: TextCodec,
  messages: readonly Message[],
  markers: Markers,
  options: RenderOptions,
): Rendering | undefined {
  const source = templateSource(codec, options.tools);
  if (!hasGenerationTags(source)) return undefined;
  const tagged = withGenerationMarkers(source, markers.openLearned, markers.closeLearned);
  const none = messages.map(() => false);
  const marked = renderMarked(codec, messages, none, markers, options, tagged);
  if (marked !== undefined) return marked;
  const read = readMarkers(runTemplate(tagged, codec, messages, options), markers);
  if (read?.text !== renderChat(codec, messages, options)) return undefined;
  if (holdsControlText(codec, [messages, options.tools])) {
    throw new InputError(
      `${refusal}can only be masked by its {% generation %} tags, which cannot tell a control token inside a message from its own. ` +
        "Remove the control tokens from this conversation.",
    );
  }
  return read;
}

/** The tagged stretches of the messages that are learned. @throws InputError where some are not, and it cannot be told which. */
function taggedSpans(spans: readonly Span[], messages: readonly Message[], learned: readonly boolean[]): Span[] {
  const answers = messages.flatMap((message, index) => (message.role === "assistant" ? [index] : []));
  if (answers.every((index) => learned[index])) return [...spans];
  if (answers.length !== spans.length) {
    throw new InputError(
      `The model's chat template tags ${spans.length} stretches as the assistant's in a conversation of ${answers.length} answers, so an answer ` +
        "cannot be left unlearned here. Leave this conversation out, or learn all of its answers.",
    );
  }
  return spans.filter((_, k) => learned[answers[k] ?? -1]);
}

const allTexts = (codec: TextCodec, messages: readonly Message[], tools: readonly unknown[] | undefined): string[] => [
  codec.chatTemplate ?? "",
  codec.toolTemplate ?? "",
  JSON.stringify(messages),
  JSON.stringify(tools ?? []),
];

function markersFor(codec: TextCodec, messages: readonly Message[], tools: readonly unknown[] | undefined): Markers {
  const markers = chooseMarkers(allTexts(codec, messages, tools));
  if (markers === undefined)
    throw new InputError("This conversation uses every private-use character of Unicode; none is left to mark its messages with.");
  return markers;
}

/** True when a message or tool holds the text of a control token, which must not reach the model as one. */
const holdsControlText = (codec: TextCodec, values: unknown): boolean => {
  const text = JSON.stringify(values);
  return codec.controlTokens.some((token) => text.includes(token.content) || text.includes(JSON.stringify(token.content).slice(1, -1)));
};

const refusal =
  "The model's chat template rewrites the messages, so what the assistant said cannot be found in the rendered text: rendering it with marked " +
  "contents, also with trimmed ones, gives another text, and the template ";

/** The names of the functions that a message calls. */
const calledNames = (message: Message): string[] =>
  (message.tool_calls ?? []).flatMap((call) => {
    const one = call as { function?: { name?: unknown }; name?: unknown } | null;
    const name = one?.function?.name ?? one?.name;
    return typeof name === "string" ? [name] : [];
  });

/** @throws InputError where the written turn of a message lacks a call that the message makes. */
function refuseLostCalls(message: Message | undefined, index: number, turn: string): void {
  const lost = message === undefined ? [] : calledNames(message).filter((name) => !turn.includes(name));
  if (lost.length === 0) return;
  throw new InputError(
    `Message ${index + 1} (assistant) calls ${lost.join(", ")}, but the model's chat template does not write tool calls: the model would learn ` +
      "to stop in their place. Leave this conversation out, or train on a model whose template supports tool calls.",
  );
}

/** What the template writes to have the assistant answer (`<|im_start|>assistant\n`), undefined where it writes nothing that can be found. */
function answerHeader(codec: TextCodec, messages: readonly Message[], options: RenderOptions): string | undefined {
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
function answerTurns(
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
function templateWrittenSpans(
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

/** Splits the rendering into control tokens that the template wrote and text between them; message contents are all text. */
function piecesOf(codec: TextCodec, rendering: Rendering): Piece[] {
  const { text, spans } = rendering;
  const contents = spans.filter((span) => span.end > span.start).sort((a, b) => a.start - b.start);
  const found: Piece[] = [];
  let from = 0;
  for (const content of [...contents, { start: text.length, end: text.length }]) {
    if (content.start >= from) found.push(...splitAtTokens(text.slice(from, content.start), codec.controlTokens, from));
    if (content.end > content.start) found.push({ start: Math.max(from, content.start), end: content.end });
    from = Math.max(from, content.end);
  }
  return joinText(found);
}

/** Joins neighbouring stretches of text, so that a text between two control tokens is tokenised as one. */
function joinText(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (piece.token === undefined && last !== undefined && last.token === undefined && last.end === piece.start) {
      joined[joined.length - 1] = { start: last.start, end: piece.end };
    } else joined.push(piece);
  }
  return joined;
}

/**
 * Learned stretches with what closes them: the control token that follows, and the whitespace before it, because the model has
 * to write both to end its turn. What comes after that token (a newline) is the template's and is not learned.
 */
function closeTurns(text: string, pieces: readonly Piece[], learned: readonly Span[]): Span[] {
  return learned.map((span) => {
    const next = pieces.find((piece) => piece.token !== undefined && piece.start >= span.end);
    if (next === undefined || text.slice(span.end, next.start).trim() !== "") return span;
    const inside = pieces.some(
      (piece) =>
        piece.token !== undefined && piece.start >= span.start && piece.end <= span.end && text.slice(piece.end, span.end).trim() === "",
    );
    return inside ? span : { ...span, end: next.end };
  });
}

/** True when the token's bytes and a learned stretch have at least one byte in common: a token that straddles its edge is learned. */
const overlaps = (aligned: AlignedText, token: number, from: number, to: number): boolean =>
  (aligned.starts[token] ?? 0) < to && (aligned.ends[token] ?? 0) > from;

function encodePieces(codec: TextCodec, text: string, pieces: readonly Piece[], learned: readonly Span[]): EncodedChat {
  const ids: number[] = [];
  const supervised: boolean[] = [];
  for (const piece of pieces) {
    const here = learned.filter((span) => span.start < piece.end && span.end > piece.start);
    if (piece.token !== undefined) {
      ids.push(piece.token.id);
      supervised.push(here.length > 0);
      continue;
    }
    const edges = here.flatMap((span) => [span.start - piece.start, span.end - piece.start]);
    const aligned = codec.align(text.slice(piece.start, piece.end), edges, piece.start === 0);
    aligned.ids.forEach((id, token) => {
      ids.push(id);
      supervised.push(here.some((_, k) => overlaps(aligned, token, aligned.positions[2 * k] ?? 0, aligned.positions[2 * k + 1] ?? 0)));
    });
  }
  return { ids, supervised };
}

/** If the conversation ends with an answer that nothing closes, the model would never learn to stop: the end-of-text token is added. */
function closeLastTurn(codec: TextCodec, encoded: EncodedChat, text: string, learned: readonly Span[]): void {
  const last = learned.at(-1);
  const lastLearned = encoded.supervised.lastIndexOf(true);
  // White space after the closing token may be learned too, where the template's tags hold it.
  const lastId = encoded.ids.slice(0, lastLearned + 1).findLast((id) => codec.decode([id]).trim() !== "") ?? encoded.ids[lastLearned];
  if (last === undefined || lastId === undefined || codec.endOfTextId === undefined) return;
  const closed = codec.endOfTurnIds.includes(lastId) || codec.controlTokens.some((token) => token.id === lastId);
  if (closed || text.slice(last.end).trim() !== "") return;
  encoded.supervised.fill(true, lastLearned);
  encoded.ids.push(codec.endOfTextId);
  encoded.supervised.push(true);
}

/** A rendering in which the learned stretches are known. */
interface Lesson {
  readonly rendering: Rendering;
  readonly learned: readonly Span[];
}

/** Finds what is learned by the template's own tags, by the prompts before the answers, or by the answers' contents, in this order. */
function lessonOf(codec: TextCodec, messages: readonly Message[], learnedMessages: readonly boolean[], options: RenderOptions): Lesson {
  const markers = markersFor(codec, messages, options.tools);
  const tagged = renderGenerationTags(codec, messages, markers, options);
  if (tagged !== undefined) {
    const learned = taggedSpans(
      tagged.spans.filter((span) => span.learned),
      messages,
      learnedMessages,
    );
    return { rendering: { text: tagged.text, spans: tagged.spans.filter((span) => !span.learned) }, learned };
  }
  const contentLearned = messages.map((message, index) => learnedMessages[index] === true && !isWrittenByTemplate(message));
  const rendering = renderMarked(codec, messages, contentLearned, markers, options);
  if (rendering === undefined) throw new InputError(`${refusal}has no {% generation %} tags either. Use another model or template.`);
  const turns = answerTurns(codec, messages, rendering, piecesOf(codec, rendering), options);
  if (turns !== undefined) {
    const learned = turns.filter(({ index }) => learnedMessages[index]);
    for (const { index, span } of learned) refuseLostCalls(messages[index], index, rendering.text.slice(span.start, span.end));
    return { rendering, learned: learned.map(({ span }) => span) };
  }
  const written = templateWrittenSpans(codec, messages, learnedMessages, rendering.text, options);
  const learned = [...rendering.spans.filter((span) => span.learned), ...written].sort((a, b) => a.start - b.start);
  return { rendering, learned };
}

/**
 * Ids of a conversation, and which of them are learned: all that the assistant has to write after the prompt for an answer (its
 * thoughts, its content, its calls of tools) and the token that ends each of its turns.
 */
export function encodeChat(codec: TextCodec, messages: readonly Message[], options: EncodeChatOptions = {}): EncodedChat {
  const { tools, variables, learnFrom = 0 } = options;
  const learnedMessages = messages.map((message, index) => isLearned(message, index, learnFrom));
  const { rendering, learned } = lessonOf(codec, messages, learnedMessages, { tools, variables });
  const pieces = piecesOf(codec, rendering);
  const closed = closeTurns(rendering.text, pieces, learned);
  const encoded = encodePieces(codec, rendering.text, pieces, closed);
  closeLastTurn(codec, encoded, rendering.text, closed);
  return encoded;
}

/** Ids of a conversation up to where the model is to answer. Control tokens inside contents stay plain text. */
export function encodePrompt(
  codec: TextCodec,
  messages: readonly Message[],
  options: Pick<EncodeChatOptions, "tools" | "variables"> = {},
): number[] {
  const { tools, variables } = options;
  const renderOptions = { tools, variables, addGenerationPrompt: true };
  const markers = markersFor(codec, messages, tools);
  const nothing = messages.map(() => false);
  const marked = renderMarked(codec, messages, nothing, markers, renderOptions);
  if (marked === undefined && holdsControlText(codec, [messages, tools])) {
    throw new InputError(`${refusal}would take the control tokens inside a message for its own. Remove them from the message.`);
  }
  const rendering = marked ?? { text: renderChat(codec, messages, renderOptions), spans: [] };
  return encodePieces(codec, rendering.text, piecesOf(codec, rendering), []).ids;
}
