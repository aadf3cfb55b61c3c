import type { AppliedAdapter } from "../../src/generation/generation-program.js";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import type { CompileOptions } from "../../src/runtime/program.js";

/** The likeliest next tokens of each text, one after the other, as Lorikeet writes them. */
export async function greedyTokens(
  { model, adapter, compile }: { readonly model: LanguageModelGraph; readonly adapter?: AppliedAdapter; readonly compile: CompileOptions },
  texts: readonly (readonly number[])[],
  count: number,
): Promise<number[][]> {
  const program = await GenerationProgram.compile(nodeEngine, { model, adapter, maxPositions: model.dimensions.maxPositions }, compile);
  const cache = program.cache(texts.length, 1);
  const written: number[][] = texts.map(() => []);
  let fed = texts;
  for (let step = 0; step < count; step++) {
    const logits = await program.step(cache, fed);
    fed = texts.map((_, text) => {
      const row = logits.subarray(text * program.vocabulary, (text + 1) * program.vocabulary);
      const best = row.indexOf(row.reduce((most, value) => Math.max(most, value)));
      written[text]?.push(best);
      return [best];
    });
  }
  await program.release();
  return written;
}
