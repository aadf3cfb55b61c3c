import type { Target } from "../../graph/op.js";
import type { TrainSettings } from "../options.js";

/** The engine's target for a device option. `auto` is the processor: it needs no driver and is exact everywhere. */
export function targetOf(device: TrainSettings["device"]): Target {
  return device === "webgpu" ? "webgpu" : "cpu";
}
