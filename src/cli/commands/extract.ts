import type { ExtractOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { extractText } from "../render/derived.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet extract`. */
export const body: CommandBody<ExtractOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.extract({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(extractText(result));
  return exitCodes.done;
};
