import type { PlanOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { planText } from "../render/plan.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet plan`. */
export const body: CommandBody<PlanOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.plan({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  screen.json(result);
  screen.say(planText(result));
  return exitCodes.done;
};
