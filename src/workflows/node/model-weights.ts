import { join } from "node:path";
import type { Target } from "../../graph/op.js";
import { lorikeetCacheFolder } from "../../hub/node/settings.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { StoredInt8, StoredWeight } from "../../runtime/emit.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import type { CompileOptions } from "../../runtime/program.js";
import { layerInputs } from "../../training/layer-inputs.js";
import { type Int8Group, type Int8Weights, mapInt8Weights } from "../../weights/node/int8-weights.js";
import { type MappedTensor, mapWeights } from "../../weights/node/mapped-weights.js";
import type { Precision } from "../options.js";
import { compileAnswering } from "./answering-weights.js";
import type { DescribedModel, OpenOptions } from "./described-model.js";
import { compileFourBit } from "./four-bit-weights.js";
import { readProbe } from "./probe.js";

/** Where a model runs and how its frozen weights are held. */
export interface Device {
  readonly target: Target;
  readonly threads?: number | undefined;
  /** Float32 by default. */
  readonly precision?: Precision | undefined;
  /** The model answers and is not trained: in int8 its weights take another form then. */
  readonly answering?: boolean | undefined;
}

/** Tokens of the text in which the inputs of layers are measured before they are rounded to 8 bits. */
const MEASURED_TOKENS = 512;
/** The engine maps tensors at multiples of their elements' size: sizes of a matrix that keep all of them so. */
const INT8_MULTIPLE = 16;

/** Puts a model's weights where the engine maps them, converting them into the cache where needed. */
export async function compileWithWeights(
  described: DescribedModel<ModelGraph>,
  device: Device,
  options: OpenOptions,
): Promise<CompileOptions> {
  const asFloat = async () => compileOptions(await mapFloat(described, device, options), device);
  if (device.precision === "int8" && device.answering) {
    return compileAnswering(described, device, options, () => measuredInputs(described, asFloat));
  }
  if (device.precision === "int8") return compileInt8(described, device, options, asFloat);
  return device.precision === "4bit" ? compileFourBit(described, device, options) : asFloat();
}

function mapFloat({ model, checkpoint }: DescribedModel<ModelGraph>, { target }: Device, { onProgress, signal }: OpenOptions) {
  return mapWeights(checkpoint, {
    cacheFolder: join(lorikeetCacheFolder(), "weights"),
    names: model.weights.keys(),
    // The WebGPU provider has no bfloat16: its conversion would run on the processor, in every step.
    float32Only: target === "webgpu",
    onProgress: ({ done, total }) => onProgress?.({ task: "preparing the weights (once)", done, total, unit: "bytes" }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** How programs of a model with these weights are compiled. */
export function compileOptions(mapped: ReadonlyMap<string, MappedTensor>, { target, threads }: Device): CompileOptions {
  const folder = mapped.values().next().value?.folder;
  return { target, threads, weightsFolder: folder, weights: (name) => storedWeight(mapped, name) };
}

function storedWeight(mapped: ReadonlyMap<string, MappedTensor>, name: string): StoredWeight {
  const tensor = mapped.get(name);
  if (tensor === undefined) throw new Error(`the checkpoint has no weight "${name}"`);
  const { dtype, shape, file, offset, byteLength } = tensor;
  return { dtype, shape, data: { file, offset, byteLength } };
}

/** The weights that `--precision int8` holds in 8 bits, by the inputs that they share. */
export function int8Groups({ linearGroups, weights, head }: ModelGraph): readonly Int8Group[] {
  const fits = (size: number) => size % INT8_MULTIPLE === 0;
  const groups = linearGroups
    .filter((group) => group.every(({ inputs, outputs }) => fits(inputs) && fits(outputs)))
    .map((group) => ({
      input: group[0]?.name ?? "",
      weights: group.map(({ name }) => `${name}.weight`),
      ...(group.some(({ makesScores }) => makesScores) ? { range: "fine" as const } : {}),
    }));
  return head === undefined
    ? groups
    : (weights.get(head) ?? []).every(fits)
      ? [...groups, { input: head, weights: [head], range: "row" }]
      : groups;
}

/** Those that are not in float32 beside: of the head, single rows are read too. */
function int8Alone(model: ModelGraph): ReadonlySet<string> {
  return new Set(
    int8Groups(model)
      .flatMap(({ weights }) => weights)
      .filter((name) => name !== model.head),
  );
}

/** What the layers of a model read in a typical text, measured in float32, by the name of the first that reads it. */
async function measuredInputs(
  { model, codec }: DescribedModel<ModelGraph>,
  asFloat: () => Promise<CompileOptions>,
): Promise<ReadonlyMap<string, Float32Array>> {
  const { passages } = await readProbe();
  const ids = codec.encode(passages.join("\n\n")).slice(0, Math.min(MEASURED_TOKENS, model.dimensions.maxPositions));
  return layerInputs(nodeEngine, model, await asFloat(), ids);
}

async function compileInt8(
  described: DescribedModel<ModelGraph>,
  { target, threads }: Device,
  { onProgress, signal }: OpenOptions,
  asFloat: () => Promise<CompileOptions>,
): Promise<CompileOptions> {
  const { model, checkpoint } = described;
  const groups = int8Groups(model);
  const inInt8Alone = int8Alone(model);
  const weights = await mapInt8Weights(checkpoint, {
    cacheFolder: join(lorikeetCacheFolder(), "weights"),
    groups,
    float: [...model.weights.keys()].filter((name) => !inInt8Alone.has(name)),
    measureInputs: () => measuredInputs(described, asFloat),
    onProgress: ({ done, total }) => onProgress?.({ task: "rounding the weights to 8 bits (once)", done, total, unit: "items" }),
    signal,
  });
  return { target, threads, packWeights: true, weightsFolder: weights.folder, weights: (name) => int8Weight(weights, name) };
}

const partTypes = { F32: "float32", I8: "int8", I64: "int64" } as const;

function int8Weight({ file, int8, float }: Int8Weights, name: string): StoredWeight {
  const tensor = float.get(name);
  const form = int8.get(name);
  const shape = tensor?.shape ?? form?.shape;
  if (shape === undefined) throw new Error(`the checkpoint has no weight "${name}"`);
  const data = tensor === undefined ? undefined : { file, offset: tensor.offset, byteLength: tensor.byteLength };
  if (form === undefined) return { dtype: "float32", shape, data };
  const parts: StoredInt8["parts"] = new Map(
    [...form.parts].map(([part, { dtype, shape, offset, byteLength }]) => [
      part,
      { dtype: partTypes[dtype as keyof typeof partTypes], shape, data: { file, offset, byteLength } },
    ]),
  );
  return { dtype: "float32", shape, data, int8: { range: form.range, parts } };
}
