import type { ConvertOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { convertText } from "../render/derived.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet convert`. */
export const body: CommandBody<ConvertOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.convert({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(convertText(result));
  return exitCodes.done;
};
