import { InputError } from "../errors.js";
import type { Piece } from "./added-tokens.js";
import type { AlignedText } from "./bare-tokenizer.js";
import { renderLearned } from "./learned-rendering.js";
import { holdsControlText, markersFor, piecesOf, REWRITES_CONTENTS, renderMarked } from "./marked-rendering.js";
import type { Span } from "./markers.js";
import { renderChat } from "./template.js";
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
      ids.push(codec.idOf(piece.token));
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

const isLearned = (message: Message, index: number, learnFrom: number): boolean =>
  message.role === "assistant" && index >= learnFrom && message.weight !== 0;

/**
 * Ids of a conversation, and which of them are learned: all that the assistant has to write after the prompt for an answer (its
 * thoughts, its content, its calls of tools) and the token that ends each of its turns.
 */
export function encodeChat(codec: TextCodec, messages: readonly Message[], options: EncodeChatOptions = {}): EncodedChat {
  const { tools, variables, learnFrom = 0 } = options;
  const learnedMessages = messages.map((message, index) => isLearned(message, index, learnFrom));
  const { rendering, learned } = renderLearned(codec, messages, learnedMessages, { tools, variables });
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
    throw new InputError(`${REWRITES_CONTENTS}would take the control tokens inside a message for its own. Remove them from the message.`);
  }
  const rendering = marked ?? { text: renderChat(codec, messages, renderOptions), spans: [] };
  return encodePieces(codec, rendering.text, piecesOf(codec, rendering), []).ids;
}
