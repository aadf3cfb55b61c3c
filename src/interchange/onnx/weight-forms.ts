import type { Adapter, AdapterLayer } from "../../lora/adapter.js";
import type { RoundingMeter } from "../../lora/merge-rounding.js";
import { layersByWeight, mergedValues } from "../../lora/merged-values.js";
import type { LanguageModelGraph } from "../../models/architecture.js";
import type { OnnxInitializer } from "../../onnx/model.js";
import type { StoredAnswering, StoredWeight } from "../../runtime/emit.js";
import type { Checkpoint } from "../../weights/checkpoint.js";
import { wholeRows } from "../../weights/whole-rows.js";
import { blocksInBytes, blocksInNibbles, type Codes, rowsInBytes } from "./coded-rows.js";
import type { WeightPart } from "./weight-part.js";

/** How matrices are stored: as they are, in 8 bits with a scale for each output, or in 4 bits with one for each 32 weights. */
export type OnnxWeightType = "f32" | "q8" | "q4";

/** A model with an adapter folded in, on its way into an ONNX file. */
export interface OnnxWeightSource {
  readonly model: LanguageModelGraph;
  /** By the model's names; see `modelCheckpoint`. */
  readonly checkpoint: Checkpoint;
  readonly adapter: Adapter;
  /** Measures what rounding does to the merged weights. */
  readonly meter: RoundingMeter;
}

/** The weights of a model as a file holds them. */
export interface WeightForms {
  /** In the order in which their data are to be asked for. */
  readonly parts: readonly WeightPart[];
  /** A weight, given where each part lies. */
  stored(name: string, placeOf: (part: WeightPart) => OnnxInitializer["data"]): StoredWeight;
}

/** Layers that are stored together, and their parts by name. */
interface CodedForm {
  readonly weights: readonly string[];
  readonly form: StoredAnswering["form"];
  readonly parts: ReadonlyMap<string, WeightPart>;
}

/** How the weights of a model are stored in a file of this type. What is no matrix of a layer, no table of tokens and no head stays in float32. */
export function weightForms(source: OnnxWeightSource, type: OnnxWeightType): WeightForms {
  const { model } = source;
  const coded = type === "f32" ? [] : codedForms(source, type);
  const byWeight = new Map(coded.flatMap((form) => form.weights.map((name) => [name, form] as const)));
  const floats = new Map(
    [...model.weights].filter(([name]) => !byWeight.has(name)).map(([name, shape]) => [name, floatPart(source, name, shape)] as const),
  );
  return {
    parts: [...floats.values(), ...coded.flatMap(({ parts }) => [...parts.values()])],
    stored(name, placeOf) {
      const initializer = (part: WeightPart) => ({ dtype: part.dtype, shape: part.shape, data: placeOf(part) });
      const float = floats.get(name);
      if (float !== undefined) return { ...initializer(float), dtype: "float32" };
      const form = byWeight.get(name);
      if (form === undefined) throw new Error(`the model has no weight "${name}"`);
      const parts = new Map([...form.parts].map(([part, tensor]) => [part, initializer(tensor)]));
      const shape = model.weights.get(name) ?? [];
      return { dtype: "float32", shape, data: undefined, answering: { weights: form.weights, form: form.form, parts } };
    },
  };
}

/** Layers of one input side by side in 8 bits, or each alone in 4; tables that are read by token, the head among them, in 8 bits. */
function codedForms(source: OnnxWeightSource, type: "q8" | "q4"): readonly CodedForm[] {
  const { linearGroups, embedding, head } = source.model;
  const groups = linearGroups.map((group) => group.map(({ name }) => `${name}.weight`));
  const tables = [...new Set([embedding, head])].map((name) => [name]);
  if (type === "q8") {
    return [...groups, ...tables].map((group) => codedForm(source, type, group, rowsInBytes(matricesOf(source, group))));
  }
  return [
    ...groups.flat().map((name) => codedForm(source, type, [name], blocksInNibbles(matricesOf(source, [name])))),
    ...tables.map((group) => codedForm(source, "q8", group, blocksInBytes(matricesOf(source, group)))),
  ];
}

const matricesOf = ({ model }: OnnxWeightSource, names: readonly string[]) => names.map((name) => model.weights.get(name) ?? []);

/** The parts of weights that are encoded together: made when the first of them is asked for, and let go with the last. */
function codedForm(source: OnnxWeightSource, type: string, names: readonly string[], { form, shapes, encoder }: Codes): CodedForm {
  let encoded: Promise<ReadonlyMap<string, Uint8Array>> | undefined;
  const last = [...shapes.keys()].at(-1);
  const encode = async () => {
    const { take, result } = encoder();
    for (const name of names) {
      const layer = layersByWeight(source.adapter).get(name);
      for await (const rows of valuesOf(source, name, layer)) {
        const written = take(rows);
        source.meter.rounded(type, rows, name, written());
      }
    }
    return result();
  };
  const part = (name: string, { dtype, shape }: Pick<WeightPart, "dtype" | "shape">): WeightPart => ({
    dtype,
    shape,
    byteLength: bytesOf(dtype, shape),
    async *data() {
      encoded ??= encode();
      const bytes = (await encoded).get(name);
      if (name === last) encoded = undefined;
      if (bytes !== undefined) yield bytes;
    },
  });
  return { weights: names, form, parts: new Map([...shapes].map(([name, type]) => [name, part(name, type)])) };
}

/** Merged values in whole rows. */
async function* valuesOf(source: OnnxWeightSource, name: string, layer: AdapterLayer | undefined): AsyncGenerator<Float32Array> {
  const { checkpoint, adapter, meter, model } = source;
  const tensor = checkpoint.tensors.get(name);
  const columns = model.weights.get(name)?.at(-1) ?? 1;
  if (tensor === undefined)
    yield await checkpoint.readFloat32(name); // says that it is not there
  else yield* wholeRows(mergedValues(tensor, checkpoint, adapter, layer, meter), columns);
}

function floatPart(source: OnnxWeightSource, name: string, shape: readonly number[]): WeightPart {
  const layer = layersByWeight(source.adapter).get(name);
  return {
    dtype: "float32",
    shape,
    byteLength: bytesOf("float32", shape),
    async *data() {
      for await (const values of valuesOf(source, name, layer)) {
        yield layer === undefined
          ? new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
          : source.meter.encode("F32", values, name);
      }
    },
  };
}

const bytesOf = (dtype: WeightPart["dtype"], shape: readonly number[]) =>
  shape.reduce((product, extent) => product * extent, dtype === "float32" ? 4 : 1);
