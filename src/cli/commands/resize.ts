import type { ResizeOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { resizeText } from "../render/derived.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet resize`. */
export const body: CommandBody<ResizeOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.resize({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(resizeText(result));
  return exitCodes.done;
};
