import type { TrainEvent, TrainOptions } from "../../workflows/api.js";
import type { CommandBody, Context } from "../context.js";
import { exitCodes } from "../failure.js";
import { trainRenderer } from "../render/train.js";

/** `lorikeet train`: shows the events of a run as they come; with --json each is a line. */
export const body: CommandBody<TrainOptions> = (options, context) =>
  showRun(
    context.workflows.train({ ...options, signal: context.interrupts.signal }),
    "The same command with --resume goes on from here.",
    context,
  );

/**
 * Consumes a run's events to the last and says how it ended.
 *
 * @param goOn what a person can do after an interruption, as a sentence
 */
export async function showRun(events: AsyncIterable<TrainEvent>, goOn: string, { screen }: Context): Promise<number> {
  const renderer = trainRenderer(screen, goOn);
  let code: number = exitCodes.failed;
  for await (const event of events) {
    screen.json(event);
    renderer.show(event);
    if (event.type === "done") code = event.reason === "interrupted" ? exitCodes.interrupted : exitCodes.done;
  }
  return code;
}
