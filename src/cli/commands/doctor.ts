import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { doctorText } from "../render/doctor.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet doctor`. */
export const body: CommandBody<Record<string, never>> = async (_, { screen, interrupts, workflows }) => {
  const result = await workflows.doctor({ signal: interrupts.signal, onProgress: progressReporter(screen) });
  screen.json(result);
  screen.say(doctorText(result, screen.paint));
  return exitCodes.done;
};
