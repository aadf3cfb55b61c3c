import { InputError } from "../../errors.js";
import type { Target } from "../../graph/op.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { Precision, TrainSettings } from "../options.js";
import { type Int8Support, int8Support } from "./int8-support.js";

/** The engine's target for a device option. `auto` is the processor: it needs no driver and is exact everywhere. */
export function targetOf(device: TrainSettings["device"]): Target {
  return device === "webgpu" ? "webgpu" : "cpu";
}

/** Narrower layers gain nothing from products in int8: rounding their inputs takes longer than the products. */
const WIDTH_THAT_PAYS = 256;
/** How much faster int8 must be to be worth its rounding. */
const SPEEDUP_THAT_PAYS = 1.3;

/** The precision in which a model is trained. `auto` is int8 where this machine computes it right and faster. */
export async function trainingPrecision(
  { precision, device, threads }: Pick<TrainSettings, "precision" | "device" | "threads">,
  { dimensions }: ModelGraph,
): Promise<Precision> {
  if (precision !== "auto") return checked(precision, device, threads);
  if (targetOf(device) !== "cpu" || dimensions.hidden < WIDTH_THAT_PAYS) return "fp32";
  return int8Pays(await int8Support(threads)) ? "int8" : "fp32";
}

/** Whether `auto` takes int8 on a machine, for models that are wide enough. */
export function int8Pays({ exact, speedup }: Int8Support): boolean {
  return exact && speedup >= SPEEDUP_THAT_PAYS;
}

/** The precision in which a model is asked. `auto` is fp32: an answer should not depend on the machine. */
export async function askingPrecision({
  precision,
  device,
  threads,
}: Pick<TrainSettings, "precision" | "device" | "threads">): Promise<Precision> {
  return precision === "auto" ? "fp32" : checked(precision, device, threads);
}

async function checked(precision: Precision, device: TrainSettings["device"], threads: number | undefined): Promise<Precision> {
  if (precision === "fp32") return precision;
  if (targetOf(device) !== "cpu") {
    throw new InputError(`--precision ${precision} runs on the processor alone. Leave out --device, or take --precision fp32.`);
  }
  if (precision === "4bit") return precision;
  const { exact } = await int8Support(threads);
  if (!exact) {
    throw new InputError(
      "--precision int8: this processor cuts sums of 8-bit products short (it has no 8-bit dot product). Take --precision fp32.",
    );
  }
  return precision;
}
