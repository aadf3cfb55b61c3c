import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet pull`: the path alone on standard output, so that a script can use it. */
export const body: CommandBody<{ model: string }> = async ({ model }, { screen, interrupts, workflows }) => {
  const result = await workflows.pull(model, { signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(result.path);
  return exitCodes.done;
};
