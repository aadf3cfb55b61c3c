import type { ExportOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { bytesText } from "../render/numbers.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet export`. */
export const body: CommandBody<ExportOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.exportAdapter({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(`The adapter sits at ${result.layers} layers.\n${result.out}: ${result.files.join(", ")} (${bytesText(result.bytes)})`);
  return exitCodes.done;
};
