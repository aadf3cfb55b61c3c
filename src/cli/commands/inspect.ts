import type { InspectOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { inspectText } from "../render/inspect.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet inspect`. */
export const body: CommandBody<InspectOptions> = async ({ directory, ...options }, { screen, interrupts, workflows }) => {
  const result = await workflows.inspect(directory, { ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(inspectText(result));
  return exitCodes.done;
};
