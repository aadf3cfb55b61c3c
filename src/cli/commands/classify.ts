import type { Readable } from "node:stream";
import type { ClassifyOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { classifyText } from "../render/classify.js";
import { progressReporter } from "../render/progress.js";

/** `lorikeet classify`: one text, the rows of a file, or the lines of standard input. */
export const body: CommandBody<ClassifyOptions> = async (options, { io, screen, interrupts, workflows }) => {
  const fromInput = options.text === undefined && options.data === undefined && io.stdin.isTTY !== true;
  const texts = fromInput ? await linesOf(io.stdin) : [];
  const controls = { signal: interrupts.signal, onProgress: progressReporter(screen) };
  const result = await workflows.classify({ ...options, texts, ...controls });
  screen.endLive();
  for (const note of result.notes) screen.warn(note);
  screen.json(result);
  screen.say(classifyText(result, screen.paint));
  return exitCodes.done;
};

async function linesOf(input: Readable): Promise<string[]> {
  let text = "";
  for await (const chunk of input) text += String(chunk);
  return text.split(/\r?\n/).filter((line) => line.trim() !== "");
}
