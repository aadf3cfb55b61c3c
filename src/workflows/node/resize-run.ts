import { resizeAdapter } from "../../lora/resizing.js";
import type { RankChoice } from "../../lora/truncation.js";
import type { ResizeResult } from "../api.js";
import { inCode, parseOptions, resizeSet } from "../options.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import { describeTheirs, pausing, totalError, weightsFor, writeDerived } from "./derived-adapter.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `resize`, in its worker. */
export async function runResize(options: unknown, context: WorkerContext): Promise<ResizeResult> {
  const { adapter: directory, out, model, ...wanted } = parseOptions(resizeSet, options, inCode);
  const notes: string[] = [];
  const place = await findAdapter(directory, context);
  const described = await describeTheirs(model, context, (note) => notes.push(note));
  const read = await readPlacedAdapter(place, described?.model);
  const weightOf = weightsFor(read, described);
  const { adapter, layers } = await resizeAdapter(read, rankChoice(wanted), directory, {
    weightOf,
    pause: pausing("resizing layers", context),
  });
  return { ...(await writeDerived(out, adapter)), relativeError: totalError(layers), layers, notes };
}

/** A rank, or a share of the energy: the rules of the options see to it that one of them is there. */
export function rankChoice({ rank, energy }: { readonly rank?: number | undefined; readonly energy?: number | undefined }): RankChoice {
  return energy === undefined ? { rank: rank ?? 1 } : { energy };
}
