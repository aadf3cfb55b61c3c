import type { CombineOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { combineText } from "../render/derived.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet combine`. */
export const body: CommandBody<CombineOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.combine({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(combineText(result));
  return exitCodes.done;
};
