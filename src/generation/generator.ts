import type { Random } from "../data/random.js";
import type { Stepper } from "./generation-program.js";
import type { KeyValueCache } from "./key-value-cache.js";
import { assertNumbers, chooseToken, type SamplingSettings } from "./sampling.js";

export interface GenerateTokensOptions {
  readonly prompt: readonly number[];
  readonly maxNewTokens: number;
  /** Tokens that end the answer; they are not yielded. */
  readonly endIds: ReadonlySet<number>;
  readonly sampling: SamplingSettings;
  readonly random: Random;
  readonly signal?: AbortSignal | undefined;
}

/** A conversation whose beginning stays in the cache: what a new prompt shares with the last one is not computed again. */
export class GenerationSession {
  readonly #program: Stepper;
  #cache: KeyValueCache | undefined;

  constructor(program: Stepper) {
    this.#program = program;
  }

  /**
   * Yields the tokens of an answer one by one, until an end token, the limit, or the model's longest sequence.
   *
   * @throws InputError when the prompt is empty or longer than the program's positions; RunError when the model computes NaN.
   */
  async *generate({ prompt, maxNewTokens, endIds, sampling, random, signal }: GenerateTokensOptions): AsyncGenerator<number> {
    const limit = Math.min(maxNewTokens, this.#program.maxPositions - prompt.length);
    this.#cache ??= this.#program.cache(1, prompt.length + Math.max(limit, 0));
    const cache = this.#cache;
    let logits = await this.#program.step(cache, [newPart(prompt, cache)]);
    for (let count = 0; count < limit; count++) {
      signal?.throwIfAborted();
      assertNumbers(logits, count + 1);
      const id = chooseToken(logits, cache.ids(0), sampling, random);
      if (endIds.has(id)) return;
      yield id;
      if (count + 1 < limit) logits = await this.#program.step(cache, [[id]]);
    }
  }
}

/** Keeps the longest common beginning of what is held and the prompt; at least one token is always fed. */
function newPart(prompt: readonly number[], cache: KeyValueCache): readonly number[] {
  const held = cache.ids(0);
  let shared = 0;
  while (shared < prompt.length - 1 && held[shared] === prompt[shared]) shared++;
  cache.truncate(shared);
  return prompt.slice(shared);
}
