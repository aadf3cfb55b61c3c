import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import type { StoredAnswering } from "../../src/runtime/emit.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { blocksForm, rowsForm, weightNames } from "../support/answering-form.js";
import { largestDifference, relativeError } from "../support/compare.js";
import { loadTinyModel, type TinyModel, tinyModelNames } from "../support/tiny-model.js";
import { answerAlone, logitsByPieces, openGeneration, randomIds } from "./support.js";

/** A tiny model with all of its layers in the form for answers; every other group takes its input in 16 bits. */
async function openAnswering(tiny: TinyModel, kind: "base" | "adapted"): Promise<GenerationProgram> {
  const matrix = async (name: string) => ({
    name,
    values: await tiny.checkpoint.readFloat32(name),
    shape: tiny.model.weights.get(name) as readonly [number, number],
  });
  const forms = new Map<string, StoredAnswering>();
  for (const [index, group] of tiny.model.linearGroups.entries()) {
    const smooth = new Float32Array(group[0]?.inputs ?? 0).fill(1);
    const form = rowsForm(await Promise.all(weightNames(group).map(matrix)), smooth, index % 2 === 0);
    for (const name of form.weights) forms.set(name, form);
  }
  forms.set(tiny.model.head, blocksForm(await matrix(tiny.model.head)));
  const adapter = kind === "base" ? undefined : { layout: tiny.layout, vector: tiny.adapter };
  return GenerationProgram.compile(
    nodeEngine,
    { model: tiny.model, adapter, maxPositions: tiny.model.dimensions.maxPositions },
    { target: "cpu", weights: (name) => ({ ...tiny.weights(name), answering: forms.get(name) }), weightsFolder: tiny.weightsFolder },
  );
}

describe.each(tinyModelNames)("%s in the form for answers", (name) => {
  let tiny: TinyModel;
  let programs: Record<"base" | "adapted", GenerationProgram>;
  beforeAll(async () => {
    tiny = await loadTinyModel(name);
    programs = { base: await openAnswering(tiny, "base"), adapted: await openAnswering(tiny, "adapted") };
  });
  afterAll(async () => {
    await programs.base.release();
    await programs.adapted.release();
  });

  // Each product is off by about 1 %, and a token's hidden state has been through 14 of them.
  test.each(["base", "adapted"] as const)(
    "logits of the %s model, token by token, are near those of transformers and PEFT",
    async (kind) => {
      const { prompt, [kind]: golden } = tiny.facts.generation;
      const want = await tiny.golden.readFloat32(`${kind}.generation.logits`); // [12, V]
      const rows = await logitsByPieces(programs[kind], [prompt, ...golden.ids.slice(0, -1).map((id) => [id])]);
      const error = relativeError(
        rows.flatMap((row) => [...row]),
        want,
      );
      expect(error).toBeLessThan(0.04);
      expect(error).toBeGreaterThan(1e-4); // or it was not in 8 bits
    },
  );

  // A value that lies halfway between two codes may fall to either side where sums run in another order, and what follows is
  // rounded anew: such pieces lie within the rounding, not on each other.
  test("pieces of any size, single tokens among them, give what one piece gives", async () => {
    const ids = randomIds(30, 4);
    const [whole] = await logitsByPieces(programs.adapted, [ids]);
    const fp32 = await openGeneration(tiny, "adapted");
    const [exact] = await logitsByPieces(fp32, [ids]);
    await fp32.release();
    for (const cuts of [[1, 2, 3], [7, 8, 22], [29], [10, 20], Array.from({ length: 29 }, (_, index) => index + 1)]) {
      const pieces = [0, ...cuts].map((from, index) => ids.slice(from, cuts[index] ?? ids.length));
      const last = (await logitsByPieces(programs.adapted, pieces)).at(-1)!;
      expect(relativeError(last, whole!)).toBeLessThan(0.02);
      expect(relativeError(last, exact!)).toBeLessThan(0.1);
    }
  });

  test("sequences of a batch are answered as alone", async () => {
    const sequences = [randomIds(9, 1), randomIds(4, 2)];
    const cache = programs.adapted.cache(2, 1);
    await programs.adapted.step(cache, sequences);
    const rows = await programs.adapted.step(cache, [[5], [6]]);
    for (const [index, next] of [5, 6].entries()) {
      const alone = (await logitsByPieces(programs.adapted, [sequences[index]!, [next]])).at(-1)!;
      const { vocabulary } = programs.adapted;
      expect(relativeError(rows.subarray(index * vocabulary, (index + 1) * vocabulary), alone)).toBeLessThan(0.02);
    }
  });

  test("the adapter counts", async () => {
    const prompt = randomIds(6, 8);
    const [base, adapted] = [await logitsByPieces(programs.base, [prompt]), await logitsByPieces(programs.adapted, [prompt])];
    expect(largestDifference(base[0]!, adapted[0]!)).toBeGreaterThan(0.1);
    expect(await answerAlone(programs.adapted, prompt, { maxNewTokens: 8 })).toHaveLength(8);
  });
});
