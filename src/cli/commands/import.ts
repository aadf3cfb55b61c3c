import type { ImportOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";

/** `lorikeet import`. */
export const body: CommandBody<ImportOptions> = async (options, { screen, workflows }) => {
  const result = await workflows.importConfig(options);
  screen.json(result);
  const carried = Object.entries(result.options).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`);
  screen.say([`${result.out}:`, ...carried].join("\n"));
  for (const { field, value, why } of result.lost) screen.warn(`not carried over: ${field}: ${JSON.stringify(value)}: ${why}`);
  for (const name of result.missing) screen.warn(`${name} is missing: add it to the file or to the command line`);
  return exitCodes.done;
};
