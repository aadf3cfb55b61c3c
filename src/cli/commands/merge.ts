import type { MergeOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { outputsText, recordText, roundingText } from "../render/merge.js";
import { bytesText } from "../render/numbers.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet merge`. */
export const body: CommandBody<MergeOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.merge({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(
    [
      `The adapter is folded into ${result.layers} layers.`,
      roundingText(result.rounding),
      outputsText(result),
      `${result.out}: ${result.files.join(", ")} (${bytesText(result.bytes)})`,
      recordText(result),
    ]
      .filter((text) => text !== "")
      .join("\n"),
  );
  return exitCodes.done;
};
