import * as z from "zod";
import { InputError } from "../errors.js";
import { parseJsonText } from "../files/parse-json.js";
import type { Labelling } from "./adapter.js";

// What the outputs of a head stand for is written beside the head, in the metadata of its file: PEFT's configuration has no field for it,
// and names and rows of the head must not come apart.

const KEY = "lorikeet.labelling";

const schema = z.strictObject({
  task: z.enum(["classification", "token-classification", "regression"]),
  labels: z.array(z.string()).min(1),
});

/** The entries of a safetensors file's metadata that say what a head's outputs stand for. */
export function writeLabelling(labelling: Labelling | undefined): Record<string, string> {
  return labelling === undefined ? {} : { [KEY]: JSON.stringify({ task: labelling.task, labels: labelling.labels }) };
}

/** Undefined in a file that another program wrote. */
export function readLabelling(metadata: Readonly<Record<string, string>>, file: string): Labelling | undefined {
  const text = metadata[KEY];
  if (text === undefined) return undefined;
  try {
    return schema.parse(parseJsonText(text));
  } catch (cause) {
    throw new InputError(`${file}: what it says of its labels cannot be read. Train the adapter again.`, { cause });
  }
}
