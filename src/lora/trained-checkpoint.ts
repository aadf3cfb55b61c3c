import { HEAD_WEIGHT } from "../models/architecture.js";
import { buildCheckpoint, type Checkpoint } from "../weights/checkpoint.js";
import { checkpointWith } from "../weights/computed-checkpoint.js";
import { type AdaptedModel, type Adapter, wholeBeside } from "./adapter.js";
import { layersByWeight } from "./merged-values.js";
import { tiedPlaces } from "./whole-tensors.js";

/** The weights of a model beside which the layers of an adapter stand. */
export interface TrainedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** The base's head was its table of embeddings, and is a matrix of its own now. */
  readonly untied: boolean;
}

/** A checkpoint in which what an adapter has trained whole takes the place of what the base has. */
export function trainedCheckpoint(base: Checkpoint, model: AdaptedModel, adapter: Adapter): TrainedCheckpoint {
  const wholes = new Map(wholeBeside(adapter, model).map(({ name, values }) => [name, async () => values]));
  const [table, head] = tiedPlaces(model);
  if (table === undefined || head === undefined) return { checkpoint: checkpointWith(base, wholes), untied: false };
  const layers = layersByWeight(adapter);
  const untied = !adapter.config.tiesWeights && [table, head].some((place) => wholes.has(place) || layers.has(place));
  const alone = buildCheckpoint(new Map([...base.tensors].filter(([name]) => name !== HEAD_WEIGHT)), base.unreadable); // no copy of the table
  const shape = base.tensors.get(table)?.shape;
  if (!untied || shape === undefined) return { checkpoint: checkpointWith(alone, wholes), untied };
  const values = wholes.get(head) ?? (() => base.readFloat32(table));
  return { checkpoint: checkpointWith(alone, wholes, new Map([[head, { shape, values }]])), untied };
}
