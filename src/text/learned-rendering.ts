import { InputError } from "../errors.js";
import { answerTurns, isWrittenByTemplate, refuseLostCalls, templateWrittenSpans } from "./answer-turns.js";
import { markersFor, piecesOf, REWRITES_CONTENTS, type Rendering, renderGenerationTags, renderMarked } from "./marked-rendering.js";
import type { Span } from "./markers.js";
import type { RenderOptions } from "./template.js";
import type { Message, TextCodec } from "./tokenizer.js";

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

/** A rendering with what is learned of it. */
export interface LearnedRendering {
  readonly rendering: Rendering;
  readonly learned: readonly Span[];
}

/**
 * Renders a conversation and finds what is learned of it by the template's own tags, by the prompts before the answers, or by the
 * answers' contents, in this order. @throws InputError where the template shows none of these, or loses calls of tools.
 */
export function renderLearned(
  codec: TextCodec,
  messages: readonly Message[],
  learnedMessages: readonly boolean[],
  options: RenderOptions,
): LearnedRendering {
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
  if (rendering === undefined)
    throw new InputError(`${REWRITES_CONTENTS}has no {% generation %} tags either. Use another model or template.`);
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
