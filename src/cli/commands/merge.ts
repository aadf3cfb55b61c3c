import type { MergeOptions, MergeResult } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { bytesText, plainNumber } from "../render/numbers.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet merge`. */
export const body: CommandBody<MergeOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.merge({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(
    `The adapter is folded into ${result.layers} layers.${roundingText(result.rounding)}\n${result.out}: ${result.files.join(", ")} (${bytesText(result.bytes)})`,
  );
  return exitCodes.done;
};

/** What the types of the weights cost; nothing where they cost nothing. */
function roundingText({ ofWeights, ofChange }: MergeResult["rounding"]): string {
  if (ofWeights === 0) return "";
  const percent = (share: number) => `${plainNumber(Number((100 * share).toPrecision(2)))} %`;
  return `\nRounding the merged weights for the file moved them by ${percent(ofWeights)} of their size, which is ${percent(ofChange)} of what the adapter changes.`;
}
