import { InputError } from "../errors.js";
import { HEAD_WEIGHT } from "../models/architecture.js";
import { buildCheckpoint, type Checkpoint } from "../weights/checkpoint.js";
import { checkpointWith } from "../weights/computed-checkpoint.js";
import { type AdaptedModel, type Adapter, wholeBeside } from "./adapter.js";
import { layersByWeight } from "./merged-values.js";
import { holdsTokens, replaceRows, tableOf } from "./trained-tokens.js";
import { variantOf } from "./variants/index.js";
import { tiedPlaces } from "./whole-tensors.js";

/** The weights of a model beside which the layers of an adapter stand. */
export interface TrainedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** The base's head was its table of embeddings, and is a matrix of its own now. */
  readonly untied: boolean;
}

/** A checkpoint in which what an adapter has trained whole takes the place of what the base has. */
export function trainedCheckpoint(base: Checkpoint, model: AdaptedModel, adapter: Adapter): TrainedCheckpoint {
  const beside = wholeBeside(adapter, model);
  const wholes = new Map(beside.filter(({ rows }) => rows === undefined).map(({ name, values }) => [name, async () => values]));
  const tokens = beside
    .filter(({ name }) => holdsTokens(name))
    .map(({ name, values, rows = [] }) => {
      const table = tableOf(name);
      return [table, async () => replaceRows(await base.readFloat32(table), values, rows)] as const;
    });
  for (const [name, values] of movedBiases(base, adapter, wholes)) wholes.set(name, values);
  const [table, head] = tiedPlaces(model);
  if (table === undefined || head === undefined)
    return { checkpoint: checkpointWith(base, new Map([...wholes, ...tokens])), untied: false };
  const layers = layersByWeight(adapter);
  const untied = !adapter.config.tiesWeights && [table, head].some((place) => wholes.has(place) || layers.has(place));
  const alone = buildCheckpoint(new Map([...base.tensors].filter(([name]) => name !== HEAD_WEIGHT)), base.unreadable); // no copy of the table
  const shape = base.tensors.get(table)?.shape;
  if (!untied || shape === undefined) return { checkpoint: checkpointWith(alone, new Map([...wholes, ...tokens])), untied };
  const values = wholes.get(head) ?? (() => base.readFloat32(table));
  return { checkpoint: checkpointWith(alone, wholes, new Map([[head, { shape, values }]])), untied };
}

type Values = () => Promise<Float32Array>;

/** Biases with the offsets of adapted layers in them. Throws InputError where a layer has no bias that could take one. */
function movedBiases(base: Checkpoint, { layers, config }: Adapter, wholes: ReadonlyMap<string, Values>): [name: string, values: Values][] {
  const variant = variantOf(config.method);
  if (variant.hasOffset === undefined) return [];
  const without = layers.filter(({ name }) => !base.tensors.has(`${name}.bias`)).map(({ name }) => name);
  if (without.length > 0) {
    throw new InputError(
      `The adapter cannot be merged: the biases of its B would move the biases of ${without.length} layers that have none, such as ${without[0]}. Use it beside the model.`,
    );
  }
  return layers.map((layer) => {
    const name = `${layer.name}.bias`;
    const bias = wholes.get(name) ?? (() => base.readFloat32(name));
    const moved = async () => {
      const { offset } = await variant.inference(layer, () => base.readFloat32(`${layer.name}.weight`));
      return (await bias()).map((value, index) => value + (offset?.[index] ?? 0));
    };
    return [name, moved];
  });
}
