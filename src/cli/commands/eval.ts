import type { EvaluateOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { evaluationText } from "../render/evaluation.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet eval`. */
export const body: CommandBody<EvaluateOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.evaluate({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(evaluationText(result, screen.paint));
  return exitCodes.done;
};
