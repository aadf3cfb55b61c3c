import type { ImportOptions } from "../../workflows/api.js";
import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";

/** `lorikeet import`. */
export const body: CommandBody<ImportOptions> = async (options, { screen, workflows }) => {
  const result = await workflows.importConfig(options);
  screen.json(result);
  const carried = Object.entries(result.options).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`);
  const lost = result.lost.map(({ field, value, why }) => `  ${field}: ${JSON.stringify(value)}: ${why}`);
  const missing = result.missing.map((name) => `${name} is missing: add it to the file or to the command line.`);
  screen.say([`${result.out}:`, ...carried, ...(lost.length === 0 ? [] : ["Not carried over:", ...lost]), ...missing].join("\n"));
  return exitCodes.done;
};
