import type { EjectOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet eject`. */
export const body: CommandBody<EjectOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.eject({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(`${result.out}: pip install -r requirements.txt, then python train.py`);
  return exitCodes.done;
};
