import { writeAdapterPage } from "../../evaluation/node/report-file.js";
import type { Adapter } from "../../lora/adapter.js";
import { checkFit } from "../../lora/fit.js";
import { inspectAdapter } from "../../lora/inspection.js";
import { adaptableGroups } from "../../lora/tables.js";
import { variantOf } from "../../lora/variants/index.js";
import type { ModelGraph } from "../../models/architecture.js";
import { readModel } from "../../models/index.js";
import type { InspectResult, Progress } from "../api.js";
import { inCode, inspectSet, parseOptions } from "../options.js";
import { findAdapter, placedBytes, readPlacedAdapter } from "./adapter-place.js";
import { weightsOf } from "./applied-adapter.js";
import { type DescribedWeights, describeWeights } from "./open-model.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** The work of `inspect`, in its worker: the singular values of a large adapter take seconds. */
export async function runInspect(options: unknown, { signal, emit }: WorkerContext): Promise<InspectResult> {
  const settings = parseOptions(inspectSet, options, inCode);
  const directory = await findAdapter(settings.directory, { signal, emit });
  const notices: string[] = [];
  const opening = { signal, onProgress: emit, onNotice: (notice: string) => notices.push(notice) };
  const described = settings.model === undefined ? undefined : await describeWeights(readModel, settings.model, opening);
  const adapter = await readAdapter(directory, described);
  const otherDirectory = settings.with === undefined ? undefined : await findAdapter(settings.with, { signal, emit });
  const other = otherDirectory === undefined ? undefined : await readPlacedAdapter(otherDirectory, described?.model);
  const inspection = await inspectAdapter(adapter, {
    weightOf: described === undefined ? undefined : weightsOf(described),
    other,
    pause: async (done) => {
      emit({ task: "measuring layers", done, total: adapter.layers.length, unit: "items" } satisfies Progress);
      await breathe();
      signal.throwIfAborted();
    },
  });
  const found = {
    ...inspection,
    directory,
    bytes: await placedBytes(directory),
    ...(otherDirectory === undefined ? {} : { with: otherDirectory }),
    notes: [...notices, ...notesOn(adapter, other)],
  };
  if (settings.html === undefined) return found;
  await writeAdapterPage(settings.html, found);
  return { ...found, html: settings.html };
}

/** Heads that were trained beside the adapter are not looked at, and so need not fit. */
async function readAdapter(directory: string, described: DescribedWeights<ModelGraph> | undefined): Promise<Adapter> {
  const { trained: _, ...adapter } = await readPlacedAdapter(directory, described?.model);
  if (described !== undefined) checkFit(adapter, adaptableGroups(described.model).flat(), described.name);
  return adapter;
}

function notesOn({ config, layers }: Adapter, other: Adapter | undefined): string[] {
  const { vectors, storedRanks } = variantOf(config.method);
  const notes =
    vectors.length === 0 ? [] : [`Besides ΔW = s·B·A the adapter changes ${vectors.join(", ")}, which these numbers do not hold.`];
  if (storedRanks > 1)
    notes.push(
      `The adapter is of PEFT's method ${config.method}, and changes its base: s·B·A also holds what was taken out of W at the start. lorikeet convert makes the change of W alone of it.`,
    );
  if (other === undefined) return notes;
  const lacks = (ones: Adapter["layers"], others: Adapter["layers"]) =>
    ones.filter((layer) => !others.some(({ name, inputs }) => name === layer.name && inputs === layer.inputs)).length;
  const [here, there] = [lacks(layers, other.layers), lacks(other.layers, layers)];
  if (here > 0) notes.push(`${here} of the ${layers.length} layers are not in the other adapter and are not compared.`);
  if (there > 0) notes.push(`${there} of the other adapter's ${other.layers.length} layers are not in this one.`);
  return notes;
}
