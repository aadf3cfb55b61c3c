import { parseDocument, stringify } from "yaml";
import { InputError } from "../../errors.js";
import type { Carried } from "../../interchange/python-config/fate.js";
import { fromPeft } from "../../interchange/python-config/peft.js";
import { fromTrl } from "../../interchange/python-config/trl.js";
import { writeFileAtomic } from "../../weights/node/atomic-file.js";
import { exists } from "../../weights/node/exists.js";
import type { ImportOptions, ImportResult } from "../api.js";
import { importSet, inCode, parseOptions, trainSet } from "../options.js";
import { readOptionsFile } from "./options-file.js";

/**
 * Writes a file of options from configurations of PEFT and TRL, and lists what could not be carried over.
 *
 * @throws InputError where a file is none, or the result exists already; nothing is written then.
 */
export async function importConfig(options: ImportOptions): Promise<ImportResult> {
  const { peft, trl, out } = parseOptions(importSet, options, inCode);
  if (await exists(out)) throw new InputError(`${out} exists already. Choose another name for the file of options.`);
  const fromTraining = trl === undefined ? nothing : fromTrl(readOptionsFile(trl));
  const fromAdapter = peft === undefined ? nothing : fromPeft(readOptionsFile(peft));
  // The adapter's own file knows better than what a program was told of it.
  const { kept, refused } = validOnly({ ...fromTraining.options, ...fromAdapter.options });
  const lost = [...fromTraining.lost, ...fromAdapter.lost, ...refused];
  const missing = requiredOptions.filter((name) => !(name in kept));
  await writeFileAtomic(out, fileText(kept, lost, missing));
  return { out, options: kept, lost, missing };
}

const nothing: Carried = { options: {}, lost: [] };
const requiredOptions = ["model", "data", "out"] as const;

/** The options with which a run can begin: each that is refused beside the others is told as lost. */
function validOnly(options: Readonly<Record<string, unknown>>): { kept: Record<string, unknown>; refused: Carried["lost"] } {
  const kept: Record<string, unknown> = {};
  const refused: Carried["lost"][number][] = [];
  const stand = Object.fromEntries(requiredOptions.map((name) => [name, name]));
  for (const [name, value] of Object.entries(options)) {
    try {
      parseOptions(trainSet, { ...stand, ...kept, [name]: value }, (each) => each);
      kept[name] = value;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      refused.push({ field: name, value, why: error.message });
    }
  }
  return { kept, refused };
}

function fileText(options: Readonly<Record<string, unknown>>, lost: Carried["lost"], missing: readonly string[]): string {
  const comments = [
    ...missing.map((name) => `${name} is missing: give it here, or on the command line.`),
    ...lost.map(({ field, value, why }) => `Not carried over: ${field}: ${JSON.stringify(value)} (${why}).`),
  ];
  const document = parseDocument(stringify(options));
  document.commentBefore = ["Options of `lorikeet train --config FILE`, from Python.", ...comments]
    .map((line) => ` ${line.replaceAll("\n", " ")}`)
    .join("\n");
  return document.toString({ lineWidth: 0 });
}
