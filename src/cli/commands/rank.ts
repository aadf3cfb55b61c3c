import type { RankOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { progressReporter } from "../render/progress.js";
import { rankText } from "../render/rank.js";

/** `lorikeet rank`. */
export const body: CommandBody<RankOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.rank({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  screen.json(result);
  screen.say(rankText(result));
  return exitCodes.done;
};
