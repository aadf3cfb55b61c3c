import { createRandom } from "../../src/data/random.js";
import type { AppliedAdapter } from "../../src/generation/generation-program.js";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { GenerationSession } from "../../src/generation/generator.js";
import type { SamplingSettings } from "../../src/generation/sampling.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { Random } from "../support/random.js";
import type { TinyModel } from "../support/tiny-model.js";

export const GREEDY: SamplingSettings = { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1 };

export type Kind = "base" | "adapted";

/** A tiny model's generation, with its golden adapter or without. */
export function openGeneration(tiny: TinyModel, kind: Kind, maxPositions = tiny.model.dimensions.maxPositions): Promise<GenerationProgram> {
  const adapter: AppliedAdapter | undefined = kind === "base" ? undefined : { layout: tiny.layout, vector: tiny.adapter };
  return GenerationProgram.compile(
    nodeEngine,
    { model: tiny.model, adapter, maxPositions },
    { target: "cpu", weights: tiny.weights, weightsFolder: tiny.weightsFolder },
  );
}

export interface Asked {
  readonly maxNewTokens?: number;
  readonly endIds?: readonly number[];
  readonly sampling?: SamplingSettings;
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** The whole answer of a session to a prompt. */
export async function answer(
  session: GenerationSession,
  prompt: readonly number[],
  { maxNewTokens = 12, endIds = [], sampling = GREEDY, seed = 1, signal }: Asked = {},
): Promise<number[]> {
  const ids: number[] = [];
  const options = { prompt, maxNewTokens, endIds: new Set(endIds), sampling, random: createRandom(seed), signal };
  for await (const id of session.generate(options)) ids.push(id);
  return ids;
}

/** The answer of a session of its own. */
export const answerAlone = (program: GenerationProgram, prompt: readonly number[], asked?: Asked) =>
  answer(new GenerationSession(program), prompt, asked);

/** Logits after each of the tokens, fed in the pieces given, in one sequence: the last row of each piece. */
export async function logitsByPieces(program: GenerationProgram, pieces: readonly (readonly number[])[]): Promise<Float32Array[]> {
  const cache = program.cache(1, 1);
  const rows: Float32Array[] = [];
  for (const piece of pieces) rows.push(await program.step(cache, [piece]));
  return rows;
}

/** Token ids of the tiny models' vocabulary, control tokens left out. */
export function randomIds(count: number, seed: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => 3 + random.below(93));
}
