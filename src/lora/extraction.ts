import { InputError } from "../errors.js";
import { type Checkpoint, readSlabs, type StoredTensor } from "../weights/checkpoint.js";
import type { AdapterLayer } from "./adapter.js";
import type { LinearLayer } from "./layer.js";
import { leadingDirections } from "./leading-directions.js";
import { type RankChoice, truncate } from "./truncation.js";

/** A layer out of the difference of two checkpoints. */
export interface ExtractedLayer {
  readonly layer: AdapterLayer;
  /** ‖W_tuned − W_base‖, and what the adapter lacks of it as a share. */
  readonly norm: number;
  readonly relativeError: number;
}

/** What extraction is told of its surroundings. */
export interface ExtractionControls {
  /** Awaited before each tensor, with the number of those done; it ends the work by throwing. */
  readonly pause?: ((done: number, total: number) => Promise<void>) | undefined;
}

/**
 * The strongest directions of W_tuned − W_base for each linear layer that has changed. The two weights of one layer are in memory at a time.
 *
 * @param base by the model's names, like `tuned`; see `modelCheckpoint`
 * @throws InputError where a difference is not finite.
 */
export async function extractLayers(
  base: Checkpoint,
  tuned: Checkpoint,
  layers: readonly LinearLayer[],
  choice: RankChoice,
  { pause }: ExtractionControls = {},
): Promise<ExtractedLayer[]> {
  const extracted: ExtractedLayer[] = [];
  for (const [done, layer] of layers.entries()) {
    await pause?.(done, layers.length);
    const weight = `${layer.name}.weight`;
    const difference = await tuned.readFloat32(weight);
    subtract(difference, await base.readFloat32(weight), weight);
    const { directions, total } = leadingDirections({ rows: layer.outputs, columns: layer.inputs, values: difference }, choice);
    if (total === 0) continue;
    extracted.push({ norm: Math.sqrt(total), ...truncate(layer, directions, choice, total) });
  }
  return extracted;
}

function subtract(from: Float32Array, values: Float32Array, name: string): void {
  for (const [at, value] of values.entries()) from[at] = (from[at] ?? 0) - value;
  if (from.every(Number.isFinite)) return;
  throw new InputError(
    `${name}: the two models differ by values that are not finite (NaN or infinity). One of them is damaged: fetch it again.`,
  );
}

/**
 * Names of tensors that differ, among those that an adapter of linear layers does not hold: embeddings, norms, biases. Slabs of two tensors
 * are in memory at a time.
 */
export async function changedTensors(
  base: Checkpoint,
  tuned: Checkpoint,
  names: readonly string[],
  { pause }: ExtractionControls = {},
): Promise<string[]> {
  const changed: string[] = [];
  for (const [done, name] of names.entries()) {
    await pause?.(done, names.length);
    const [one, other] = [base.tensors.get(name), tuned.tensors.get(name)];
    if (one !== undefined && other !== undefined && !(await isEqual(one, other))) changed.push(name);
  }
  return changed;
}

async function isEqual(one: StoredTensor, other: StoredTensor): Promise<boolean> {
  const slabs = readSlabs(other);
  let slab = new Float32Array();
  let at = 0;
  for await (const values of readSlabs(one)) {
    for (const value of values) {
      if (at === slab.length) {
        slab = (await slabs.next()).value ?? new Float32Array();
        at = 0;
      }
      if (value !== slab[at++]) return false;
    }
  }
  return true;
}
