import { InputError } from "../errors.js";
import { type Piece, splitAtTokens } from "./added-tokens.js";
import { chooseMarkers, type Markers, markMessages, markTools, readMarkers, type Span } from "./markers.js";
import { hasGenerationTags, type RenderOptions, renderChat, runTemplate, templateSource, withGenerationMarkers } from "./template.js";
import type { Message, TextCodec } from "./tokenizer.js";

/** A rendering whose stretches are known: text, what came from messages, and what of it is learned. */
export interface Rendering {
  readonly text: string;
  readonly spans: readonly Span[];
}

const allTexts = (codec: TextCodec, messages: readonly Message[], tools: readonly unknown[] | undefined): string[] => [
  codec.chatTemplate ?? "",
  codec.toolTemplate ?? "",
  JSON.stringify(messages),
  JSON.stringify(tools ?? []),
];

/** Four characters for markers that the conversation and the template lack. @throws InputError where none are left. */
export function markersFor(codec: TextCodec, messages: readonly Message[], tools: readonly unknown[] | undefined): Markers {
  const markers = chooseMarkers(allTexts(codec, messages, tools));
  if (markers === undefined)
    throw new InputError("This conversation uses every private-use character of Unicode; none is left to mark its messages with.");
  return markers;
}

/** True when a message or tool holds the text of a control token, which must not reach the model as one. */
export const holdsControlText = (codec: TextCodec, values: unknown): boolean => {
  const text = JSON.stringify(values);
  return codec.controlTokens.some((token) => text.includes(token.content) || text.includes(JSON.stringify(token.content).slice(1, -1)));
};

/** The beginning of the error for a template in which messages cannot be found; what the template does or lacks follows. */
export const REWRITES_CONTENTS =
  "The model's chat template rewrites the messages, so what the assistant said cannot be found in the rendered text: rendering it with marked " +
  "contents, also with trimmed ones, gives another text, and the template ";

/**
 * Renders with markers around the contents. The text with the markers taken out must equal the plain rendering; where it does
 * not, the template looks at its contents (trims them, most often), and the markers move inside the outer whitespace.
 */
export function renderMarked(
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
export function renderGenerationTags(
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
      `${REWRITES_CONTENTS}can only be masked by its {% generation %} tags, which cannot tell a control token inside a message from its own. ` +
        "Remove the control tokens from this conversation.",
    );
  }
  return read;
}

/** Splits the rendering into control tokens that the template wrote and text between them; message contents are all text. */
export function piecesOf(codec: TextCodec, rendering: Rendering): Piece[] {
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
