import { buildCheckpoint, type Checkpoint } from "../weights/checkpoint.js";
import type { CheckpointForm, ModelGraph } from "./architecture.js";

/**
 * A checkpoint in transformers' form as a model asks for it: its weights by the model's names, matrices of Conv1D as [out, in]. What the
 * model does not read stays under its own name, but for constants, which are left out. A GGUF has the model's form already.
 */
export function modelCheckpoint(stored: Checkpoint, model: Pick<ModelGraph, "weights" | "linearGroups" | "checkpointForm">): Checkpoint {
  const form = model.checkpointForm ?? {};
  const storedNames = new Set([...stored.tensors.keys(), ...stored.unreadable.keys()]);
  const ownNames = new Map<string, string>();
  for (const weight of model.weights.keys()) {
    const storedName = possibleNames(weight, form).find((name) => storedNames.has(name));
    if (storedName !== undefined) ownNames.set(storedName, weight);
  }
  const isConstant = (name: string) => !ownNames.has(name) && form.constants?.test(name) === true;
  const renamed = <T>(entries: ReadonlyMap<string, T>) =>
    [...entries].filter(([name]) => !isConstant(name)).map(([name, entry]) => [ownNames.get(name) ?? name, entry] as const);

  const conv1d = new Set(model.linearGroups.flat().flatMap(({ name, isConv1D }) => (isConv1D ? [`${name}.weight`] : [])));
  const tensors = renamed(stored.tensors).map(([name, tensor]) => {
    const named = name === tensor.name ? tensor : { ...tensor, name, storedName: tensor.name };
    return [name, conv1d.has(name) ? { ...named, shape: named.shape.toReversed(), isTransposed: true as const } : named] as const;
  });
  return buildCheckpoint(new Map(tensors), new Map(renamed(stored.unreadable)));
}

/** What files may call a weight, the model's own name first. */
function possibleNames(weight: string, { prefixes = [], endings = [] }: CheckpointForm): string[] {
  const ended = endings.flatMap(([own, stored]) => (weight.endsWith(own) ? [weight.slice(0, -own.length) + stored] : []));
  const names = [weight, ...ended];
  return [
    ...names,
    ...names.flatMap((name) => prefixes.flatMap(([own, stored]) => (name.startsWith(own) ? [stored + name.slice(own.length)] : []))),
  ];
}
