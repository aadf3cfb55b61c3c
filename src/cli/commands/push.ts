import type { PushOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { bytesText } from "../render/numbers.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet push`. */
export const body: CommandBody<PushOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.push({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  screen.json(result);
  const files = result.files.map(({ path, bytes }) => `${path} (${bytesText(bytes)})`).join(", ");
  screen.say(result.url === undefined ? `${result.card}\nNot uploaded to ${result.repository}: ${files}` : `${result.url}\n${files}`);
  return exitCodes.done;
};
