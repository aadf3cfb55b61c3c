import type { UnmergeOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { unmergeText } from "../render/merge.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet unmerge`. */
export const body: CommandBody<UnmergeOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.unmerge({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(unmergeText(result));
  return exitCodes.done;
};
