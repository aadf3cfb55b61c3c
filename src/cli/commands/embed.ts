import type { EmbedOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { progressReporter } from "../render/progress.js";

/** Digits of a number in a vector: float32 has no more. */
const DIGITS = 8;

/** `lorikeet embed`: a line of numbers for each text, or with --json all of them in one record. */
export const body: CommandBody<EmbedOptions> = async (options, { screen, interrupts, workflows }) => {
  const result = await workflows.embed({ ...options, signal: interrupts.signal, onProgress: progressReporter(screen) });
  for (const note of result.notes) screen.warn(note);
  screen.json({ ...result, vectors: result.vectors.map((vector) => [...vector]) });
  for (const vector of result.vectors) screen.say(Array.from(vector, (value) => Number(value.toPrecision(DIGITS))).join(" "));
  return exitCodes.done;
};
