import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { argMax } from "../../src/generation/sampling.js";
import { mergedWeight } from "../../src/lora/merge.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { largestDifference, relativeError } from "../support/compare.js";
import { pairOf } from "../support/new-adapter.js";
import { loadTinyModel, type TinyModel, tinyModelNames } from "../support/tiny-model.js";
import { answerAlone, logitsByPieces, openGeneration, randomIds } from "./support.js";

/** fp32 of two engines; the golden README says how far fp32 lies from fp64. */
const TOLERANCE = 1e-4;

describe.each(tinyModelNames)("%s against transformers and PEFT", (name) => {
  let tiny: TinyModel;
  let programs: Record<"base" | "adapted", GenerationProgram>;
  beforeAll(async () => {
    tiny = await loadTinyModel(name);
    programs = { base: await openGeneration(tiny, "base"), adapted: await openGeneration(tiny, "adapted") };
  });
  afterAll(async () => {
    await programs.base.release();
    await programs.adapted.release();
  });

  test.each(["base", "adapted"] as const)("greedy decoding of the %s model: ids and logits of every step", async (kind) => {
    const { prompt, [kind]: golden } = tiny.facts.generation;
    const want = await tiny.golden.readFloat32(`${kind}.generation.logits`); // [12, V]
    const rows = await logitsByPieces(programs[kind], [prompt, ...golden.ids.slice(0, -1).map((id) => [id])]);
    expect(rows.map(argMax)).toEqual(golden.ids);
    expect(
      relativeError(
        rows.flatMap((row) => [...row]),
        want,
      ),
    ).toBeLessThan(TOLERANCE);
    expect(golden.smallestLead).toBeGreaterThan(1e-3); // or equal ids would be luck
    expect(await answerAlone(programs[kind], prompt)).toEqual(golden.ids);
  });

  test.each(["base", "adapted"] as const)(
    "cached decoding of the %s model, token by token, equals whole sequences in value",
    async (kind) => {
      const want = await tiny.golden.readFloat32(`${kind}.logits`); // [2, 12, V], of transformers' whole sequences
      const batch = tiny.facts.batches[0]!;
      const { vocabulary } = programs[kind];
      for (const [b, ids] of batch.input_ids.entries()) {
        const length = batch.attention_mask[b]!.filter((flag) => flag === 1).length;
        const one = await logitsByPieces(
          programs[kind],
          ids.slice(0, length).map((id) => [id]),
        );
        for (const [t, row] of one.entries()) {
          const from = (b * ids.length + t) * vocabulary;
          expect(relativeError(row, want.subarray(from, from + vocabulary))).toBeLessThan(TOLERANCE);
        }
      }
    },
  );

  test("pieces of any size give what one piece gives", async () => {
    const ids = randomIds(30, 4);
    const [whole] = await logitsByPieces(programs.adapted, [ids]);
    for (const cuts of [[1, 2, 3], [7, 8, 22], [29], [10, 20]]) {
      const pieces = [0, ...cuts].map((from, index) => ids.slice(from, cuts[index] ?? ids.length));
      const last = (await logitsByPieces(programs.adapted, pieces)).at(-1)!;
      expect(largestDifference(last, whole!)).toBeLessThan(1e-4);
    }
  });

  test("merged weights give the same text and logits as the adapter beside the base", async () => {
    const merged = new Map<string, StoredWeight>();
    for (const layer of tiny.layout.groups.flatMap((group) => group.layers)) {
      const weight = await tiny.checkpoint.readFloat32(`${layer.name}.weight`);
      const data = mergedWeight(weight, layer, { ...layer, ...pairOf(layer, tiny.adapter) });
      merged.set(`${layer.name}.weight`, { dtype: "float32", shape: [layer.outputs, layer.inputs], data: new Uint8Array(data.buffer) });
    }
    const program = await GenerationProgram.compile(
      nodeEngine,
      { model: tiny.model, maxPositions: tiny.model.dimensions.maxPositions },
      { target: "cpu", weights: (weight) => merged.get(weight) ?? tiny.weights(weight), weightsFolder: tiny.weightsFolder },
    );
    for (const seed of [1, 2, 3]) {
      const prompt = randomIds(6, seed);
      const [unmergedRow] = await logitsByPieces(programs.adapted, [prompt]);
      const [mergedRow] = await logitsByPieces(program, [prompt]);
      const [baseRow] = await logitsByPieces(programs.base, [prompt]);
      expect(largestDifference(mergedRow!, unmergedRow!)).toBeLessThan(1e-4);
      expect(largestDifference(mergedRow!, baseRow!)).toBeGreaterThan(0.1);
      expect(await answerAlone(program, prompt, { maxNewTokens: 40 })).toEqual(
        await answerAlone(programs.adapted, prompt, { maxNewTokens: 40 }),
      );
    }
    await program.release();
  });
});
