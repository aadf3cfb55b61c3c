import { InputError } from "../../errors.js";
import { configOf } from "../../lora/adapter.js";
import { changedTensors, extractLayers } from "../../lora/extraction.js";
import { buildLayout } from "../../lora/layout.js";
import { plainConfig } from "../../lora/plain-config.js";
import { readModel } from "../../models/index.js";
import type { ExtractResult } from "../api.js";
import { extractSet, inCode, parseOptions } from "../options.js";
import { pausing, totalError, writeDerived } from "./derived-adapter.js";
import type { DescribedWeights } from "./described-model.js";
import { describeWeights } from "./open-model.js";
import { rankChoice } from "./resize-run.js";
import type { WorkerContext } from "./worker/context.js";

type Described = DescribedWeights<ReturnType<typeof readModel>>;

/** As many names as a note lists. */
const LISTED = 5;

/** The work of `extract`, in its worker. */
export async function runExtract(options: unknown, context: WorkerContext): Promise<ExtractResult> {
  const { base: baseName, tuned: tunedName, out, ...wanted } = parseOptions(extractSet, options, inCode);
  const notes: string[] = [];
  const open = (name: string) =>
    describeWeights(readModel, name, { signal: context.signal, onProgress: context.emit, onNotice: (note) => notes.push(note) });
  const [base, tuned] = [await open(baseName), await open(tunedName)];
  checkSame(base, tuned);
  const linear = base.model.linearGroups.flat();
  const found = await extractLayers(base.checkpoint, tuned.checkpoint, linear, rankChoice(wanted), {
    pause: pausing("comparing layers", context),
  });
  const held = new Set(linear.map(({ name }) => `${name}.weight`));
  const others = [...base.model.weights.keys()].filter((name) => !held.has(name));
  const left = await changedTensors(base.checkpoint, tuned.checkpoint, others, { pause: pausing("comparing the rest", context) });
  if (found.length === 0) throw new InputError(nothingFound(base, tuned, left));
  if (left.length > 0) notes.push(leftOut(left));

  const layers = found.map(({ layer }) => layer);
  const spec = { rank: 1, alpha: 1, dropout: 0, layers: { kind: "all-linear" }, initialisation: "gaussian" } as const;
  const from = configOf(spec, buildLayout(layers.map((layer) => [layer])), linear, base.name);
  const written = await writeDerived(out, { config: plainConfig(from, layers, from.targetModules), layers });
  const measured = found.map(({ layer, norm, relativeError }) => ({ name: layer.name, rank: layer.rank, norm, relativeError }));
  return {
    ...written,
    relativeError: totalError(measured),
    layers: measured,
    unchanged: linear.length - found.length,
    leftOut: left,
    notes,
  };
}

function checkSame(base: Described, tuned: Described): void {
  const problems =
    base.model.modelType === tuned.model.modelType ? [] : [`one is a ${base.model.modelType}, the other a ${tuned.model.modelType}`];
  for (const [name, shape] of base.model.weights) {
    const other = tuned.model.weights.get(name);
    if (other?.join() !== shape.join())
      problems.push(
        `${name} is [${shape.join(", ")}] in the base${other === undefined ? " and not in the other" : `, [${other.join(", ")}] in the other`}`,
      );
  }
  if (problems.length === 0) return;
  const rest = problems.length > LISTED ? `\n- and ${problems.length - LISTED} more` : "";
  throw new InputError(
    `${base.name} and ${tuned.name} are not of one form:${problems
      .slice(0, LISTED)
      .map((problem) => `\n- ${problem}`)
      .join("")}${rest}\nAn adapter is the difference of a model and what was made of it.`,
  );
}

const listed = (names: readonly string[]) => `${names.slice(0, LISTED).join(", ")}${names.length > LISTED ? `, … (${names.length})` : ""}`;

function nothingFound(base: Described, tuned: Described, left: readonly string[]): string {
  const what = `${base.name} and ${tuned.name} have the same weights in every linear layer`;
  if (left.length === 0) return `${what}, and everywhere else: there is no difference to extract.`;
  return `${what}; they differ only in ${listed(left)}, which an adapter of linear layers does not hold.`;
}

function leftOut(names: readonly string[]): string {
  return `The models differ outside the linear layers too, which the adapter does not hold: ${listed(names)}. With the adapter the base lacks these changes.`;
}
