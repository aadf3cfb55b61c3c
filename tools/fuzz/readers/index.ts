import type { Reader } from "../input.js";
import { adapterReaders } from "./adapters.js";
import { commandReaders } from "./commands.js";
import { dataReaders } from "./data.js";
import { optionReaders } from "./options.js";
import { textReaders } from "./text.js";
import { weightReaders } from "./weights.js";

/** Every way in that is tried. */
export const readers: readonly Reader[] = [
  ...weightReaders,
  ...textReaders,
  ...adapterReaders,
  ...dataReaders,
  ...optionReaders,
  ...commandReaders,
];
