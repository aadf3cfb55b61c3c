import { createRandom } from "../../data/random.js";
import { InputError } from "../../errors.js";
import type { Part } from "../../lora/combination/agreement.js";
import { combineAdapters } from "../../lora/combination/combine.js";
import type { Mask } from "../../lora/combination/combine-layer.js";
import { parseExpression } from "../../lora/combination/expression.js";
import type { RankChoice } from "../../lora/truncation.js";
import type { CombineResult } from "../api.js";
import { type CombineSettings, combineSet, inCode, parseOptions } from "../options.js";
import { suggestion } from "../parse-options.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import { describeTheirs, pausing, totalError, weightsFor, writeDerived } from "./derived-adapter.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `combine`, in its worker. */
export async function runCombine(options: unknown, context: WorkerContext): Promise<CombineResult> {
  const settings = parseOptions(combineSet, options, inCode);
  const terms = parseExpression(settings.expression);
  const places = placesOf(
    settings.adapter ?? [],
    terms.map(({ name }) => name),
  );
  const notes: string[] = [];
  const described = await describeTheirs(settings.model, context, (note) => notes.push(note));
  const parts: Part[] = [];
  for (const { name, weight } of terms) {
    const place = await findAdapter(places.get(name) ?? name, context);
    const adapter = await readPlacedAdapter(place, described?.model);
    parts.push({ name, weight, adapter });
  }
  for (const { name, weight } of terms) if (weight === 0) notes.push(`${name} has the factor 0 and adds nothing.`);

  const type = settings.type ?? (settings.rank === undefined && settings.energy === undefined ? "cat" : "svd");
  const weightOf = parts.map(({ adapter }) => weightsFor(adapter, described))[0];
  const { adapter, layers } = await combineAdapters(
    parts,
    { type, choice: choiceOf(settings, parts), density: settings.density, signs: settings.signs, mask: randomMask(settings, parts) },
    { weightOf, sameBase: settings.sameBase, pause: pausing("combining layers", context) },
  );
  const measured = layers.map(({ name, rank, exactNorm, distance, reductionError }) => ({
    name,
    rank,
    norm: exactNorm,
    relativeError: exactNorm === 0 ? 0 : distance / exactNorm,
    ...(reductionError === undefined ? {} : { reductionError }),
  }));
  const written = await writeDerived(settings.out, adapter);
  return { ...written, type, terms, relativeError: totalError(measured), layers: measured, notes };
}

/** What the names of an expression stand for, by `NAME=DIR`. */
function placesOf(given: readonly string[], names: readonly string[]): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  const problems: string[] = [];
  for (const text of given) {
    const [, name, place] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || place === undefined) problems.push(`${JSON.stringify(text)} is no NAME=DIR, such as style=runs/style`);
    else if (places.has(name)) problems.push(`${name} stands for two adapters, ${places.get(name)} and ${place}`);
    else if (!names.includes(name)) problems.push(`${name} does not occur in the expression${suggestion(name, names)}`);
    else places.set(name, place);
  }
  if (problems.length > 0) throw new InputError(`The adapters that are named: ${problems.join("; ")}.`);
  return places;
}

/** As PEFT: without a rank the largest among the adapters, patterns included. */
function choiceOf({ rank, energy }: CombineSettings, parts: readonly Part[]): RankChoice {
  if (energy !== undefined) return { energy };
  return { rank: rank ?? Math.max(1, ...parts.flatMap(({ adapter }) => adapter.layers.map((layer) => layer.rank))) };
}

/** Each value is kept with the probability of the density; every tensor of every adapter has a random stream of its own. */
function randomMask({ seed, density }: CombineSettings, parts: readonly Part[]): Mask {
  return ({ adapter, layer, tensor, length }) => {
    const random = createRandom(seed, `dare/${parts[adapter]?.name}/${layer}/${tensor}`);
    return Uint8Array.from({ length }, () => Number(random.uniform() < density));
  };
}
