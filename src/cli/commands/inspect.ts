import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { inspectText } from "../render/inspect.js";

/** `lorikeet inspect`. */
export const body: CommandBody<{ directory: string }> = async ({ directory }, { screen, interrupts, workflows }) => {
  const result = await workflows.inspect(directory, { signal: interrupts.signal });
  screen.json(result);
  screen.say(inspectText(result));
  return exitCodes.done;
};
