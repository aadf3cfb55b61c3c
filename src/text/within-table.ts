import { InputError } from "../errors.js";
import type { TextCodec } from "./tokenizer.js";

/**
 * A codec that gives no id beyond a model's table of embeddings. A tokenizer may know more tokens than the table has rows (Gemma 3's
 * has one for images) as long as no text uses them.
 *
 * @param rows of the table
 * @param model its name, for messages
 * @returns a codec that throws InputError, naming the token, where a text holds one that the model lacks
 */
export function withinTable(codec: TextCodec, rows: number, model: string): TextCodec {
  if (codec.vocabSize <= rows) return codec;
  const checked = (id: number): number => {
    if (id < rows) return id;
    throw new InputError(
      `${model}: its tokenizer has the token ${JSON.stringify(codec.decode([id]))} with id ${id}, but the model's table of embeddings has ` +
        `${rows} rows. The tokenizer belongs to another model, or tokens were added to it alone: take the tokenizer files that came with the weights.`,
    );
  };
  const all = <Encoded extends { readonly ids: readonly number[] }>(encoded: Encoded): Encoded => {
    for (const id of encoded.ids) checked(id);
    return encoded;
  };
  return {
    ...codec,
    encode: (text, options) => codec.encode(text, options).map(checked),
    encodeInput: (...input) => all(codec.encodeInput(...input)),
    align: (...stretch) => all(codec.align(...stretch)),
    idOf: (token) => checked(token.id),
  };
}
