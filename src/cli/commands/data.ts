import type { DataOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { dataText } from "../render/data.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet data`. */
export const body: CommandBody<DataOptions> = async (options, { screen, interrupts, workflows }) => {
  const report = await workflows.inspectData({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  screen.json(report);
  screen.say(dataText(report, screen.paint));
  return exitCodes.done;
};
