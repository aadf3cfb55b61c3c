import type { DemoOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { showRun } from "./train.js";

/** `lorikeet demo`: a training run whose model, data and options come with the package. */
export const body: CommandBody<DemoOptions> = (options, context) =>
  showRun(
    context.workflows.demo({ ...options, signal: context.interrupts.signal }),
    "The same command starts again from the beginning.",
    context,
  );
