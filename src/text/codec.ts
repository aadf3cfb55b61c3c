import { InputError } from "../errors.js";
import { encodeChat } from "./rendering.js";
import { createTextCodec, type TextCodec, type TextSettings } from "./tokenizer.js";
import { readTokenizerJson, type TokenizerJson } from "./tokenizer-json.js";

/**
 * Builds the codec of a checkpoint, and asks its template which token closes an answer: that token ends generation even where
 * the checkpoint's configuration names another (a common slip in instruction-tuned models).
 */
export function buildTextCodec(tokenizerJson: unknown, settings: TextSettings): TextCodec {
  return textCodecOf(readTokenizerJson(tokenizerJson, settings.file), settings);
}

/** The same of a tokenizer.json that was read. */
export function textCodecOf(json: TokenizerJson, settings: TextSettings): TextCodec {
  const codec = createTextCodec(json, settings);
  const closing = closingToken(codec);
  if (closing === undefined || settings.endOfTurnIds.includes(closing)) return codec;
  return { ...codec, endOfTurnIds: [closing, ...settings.endOfTurnIds] };
}

/** The control token that the template writes after an answer, undefined when it writes none or refuses the trial. */
function closingToken(codec: TextCodec): number | undefined {
  if (codec.chatTemplate === undefined) return undefined;
  const trial = [
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
  ];
  try {
    const { ids, supervised } = encodeChat(codec, trial);
    const last = ids[supervised.lastIndexOf(true)];
    return codec.controlTokens.some((token) => token.id === last) ? last : undefined;
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
