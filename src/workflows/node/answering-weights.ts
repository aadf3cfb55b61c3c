import { join } from "node:path";
import { lorikeetCacheFolder } from "../../hub/node/settings.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { StoredAnswering, StoredWeight } from "../../runtime/emit.js";
import type { CompileOptions } from "../../runtime/program.js";
import { BLOCK } from "../../weights/kernels/answering.js";
import {
  type AnsweringGroup,
  type AnsweringWeights,
  type MappedAnswering,
  mapAnsweringWeights,
} from "../../weights/node/answering-weights.js";
import type { DescribedModel, OpenOptions } from "./described-model.js";

/** The engine maps tensors at multiples of their elements' size: sizes of a matrix that keep all of them so. */
const MULTIPLE = 16;

/** Puts a model's weights, in the form in which it answers in int8, where the engine maps them; writes them into the cache once. */
export async function compileAnswering(
  { model, checkpoint }: DescribedModel<ModelGraph>,
  { target, threads }: Pick<CompileOptions, "target" | "threads">,
  { onProgress, signal }: OpenOptions,
  measureInputs: () => Promise<ReadonlyMap<string, Float32Array>>,
): Promise<CompileOptions> {
  const groups = answeringGroups(model);
  const rounded = new Set(groups.flatMap(({ weights }) => weights));
  const weights = await mapAnsweringWeights(checkpoint, {
    cacheFolder: join(lorikeetCacheFolder(), "weights"),
    groups,
    // The head's rows are read one by one too where it is the table of embeddings.
    float: [...model.weights.keys()].filter((name) => !rounded.has(name) || name === model.head),
    measureInputs,
    onProgress: ({ done, total }) => onProgress?.({ task: "rounding the weights to 8 bits (once)", done, total, unit: "items" }),
    signal,
  });
  const stored = new Map(weights.groups.flatMap((group) => group.weights.map((name) => [name, storedAnswering(weights, group)])));
  return { target, threads, weightsFolder: weights.folder, weights: (name) => storedWeight(weights, stored.get(name), model, name) };
}

/** The weights that answers in int8 hold in 8 bits, by the inputs that they share. */
function answeringGroups({ linearGroups, weights, head }: ModelGraph): readonly AnsweringGroup[] {
  const fits = (size: number) => size % MULTIPLE === 0;
  const groups = linearGroups
    .filter((group) => group.every(({ inputs, outputs }) => fits(inputs) && fits(outputs)))
    .map((group): AnsweringGroup => ({ input: group[0]?.name ?? "", weights: group.map(({ name }) => `${name}.weight`), kind: "rows" }));
  if (head === undefined) return groups;
  const [rows = 0, columns = 0] = weights.get(head) ?? [];
  return fits(rows) && columns % BLOCK === 0 ? [...groups, { input: head, weights: [head], kind: "blocks" }] : groups;
}

function storedAnswering({ file }: AnsweringWeights, { weights, kind, fine, inputs, parts }: MappedAnswering): StoredAnswering {
  const types = { F32: "float32", I8: "int8", U8: "uint8" } as const;
  return {
    weights,
    form: kind === "rows" ? { kind, fine } : { kind, inputs, block: BLOCK, bits: 8, exact: false },
    parts: new Map(
      [...parts].map(([part, { dtype, shape, offset, byteLength }]) => [
        part,
        { dtype: types[dtype as keyof typeof types], shape, data: { file, offset, byteLength } },
      ]),
    ),
  };
}

function storedWeight(
  { file, float }: AnsweringWeights,
  answering: StoredAnswering | undefined,
  model: ModelGraph,
  name: string,
): StoredWeight {
  const shape = model.weights.get(name);
  if (shape === undefined) throw new Error(`the checkpoint has no weight "${name}"`);
  const tensor = float.get(name);
  const data = tensor === undefined ? undefined : { file, offset: tensor.offset, byteLength: tensor.byteLength };
  return { dtype: "float32", shape, data, answering };
}
