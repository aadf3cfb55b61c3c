import { type Batch, buildBatch } from "../data/batch.js";
import { type TaughtTokens, textsOf } from "../data/lesson.js";
import { InputError } from "../errors.js";
import { type AdapterSpec, adaptGroups, withRanks } from "../lora/spec.js";
import type { DataStart, InputDirections } from "../lora/variants/variant.js";
import type { LinearLayer, ModelGraph } from "../models/architecture.js";
import type { Engine } from "../runtime/engine.js";
import type { CompileOptions } from "../runtime/program.js";
import { type DirectionsRequest, inputDirections } from "./input-directions.js";

/** What a variant is shown of the user's data. */
export interface DataStartRequest extends Pick<DirectionsRequest, "batches" | "maxTokens" | "rounds" | "seed" | "pause"> {
  readonly model: ModelGraph;
  readonly spec: AdapterSpec;
  readonly dataStart: DataStart;
}

/** A new adapter after a look at the data. */
export interface StartFromData {
  /** The ranks that its layers get. */
  readonly ranks: ReadonlyMap<string, number>;
  readonly spec: AdapterSpec;
  readonly inputsOf: (layer: LinearLayer) => InputDirections;
}

/**
 * Measures what the layers of an adapter read, and gives them their ranks by it.
 *
 * @throws InputError where fewer places are learned than directions are asked for
 */
export async function startFromData(
  engine: Engine,
  { model, spec, dataStart, ...look }: DataStartRequest,
  compile: CompileOptions,
): Promise<StartFromData> {
  const groups = adaptGroups(model.linearGroups, spec);
  const groupOf = new Map(model.linearGroups.flatMap((group) => group.map(({ name }) => [name, group[0]?.name ?? name] as const)));
  const counts = new Map(
    groups.map((layers) => {
      const most = layers.map((layer) => dataStart.count(layer, spec.settings ?? {}));
      return [groupOf.get(layers[0]?.name ?? "") ?? "", Math.max(...most)] as const;
    }),
  );
  checkPlaces(look.batches, Math.max(...counts.values()));
  const found = await inputDirections(engine, { model, counts, ...look }, compile);
  const inputsOf = ({ name }: LinearLayer): InputDirections => {
    const directions = found.get(groupOf.get(name) ?? "");
    if (directions === undefined) throw new Error(`what ${name} reads was not looked at`);
    return directions;
  };
  const ranks = dataStart.ranks(groups, inputsOf);
  return { ranks, spec: withRanks(spec, ranks), inputsOf };
}

function checkPlaces(batches: readonly Batch[], directions: number): void {
  const places = batches.reduce((sum, { supervisedCount }) => sum + supervisedCount, 0);
  if (places > directions) return;
  throw new InputError(
    `${directions} directions are asked for of what a layer reads, and the batches that are looked at have ${places} learned tokens. ` +
      "Raise --start-batches, or lower --rank or --rho; with so little data, take the method lora.",
  );
}

/**
 * The batch in which the learned tokens of examples are looked at where they are read themselves, not where they are predicted. An
 * example that has labels in place of learned tokens is looked at whole, and so are both texts of a pair.
 */
export function lookedAt(examples: readonly TaughtTokens[]): Batch {
  return buildBatch(
    examples.flatMap(textsOf).map((example) => {
      const { ids } = example;
      const wanted = "supervised" in example ? example.supervised : new Uint8Array(ids.length).fill(1);
      // A place is looked at from which the next token is predicted: each mark moves by one, to behind the last token.
      return { ids: Int32Array.of(...ids, 0), supervised: Uint8Array.of(0, ...wanted) };
    }),
  );
}
