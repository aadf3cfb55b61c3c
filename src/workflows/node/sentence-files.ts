import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { InputError } from "../../errors.js";
import { parseJsonText } from "../../files/parse-json.js";
import type { Embedding, Pooling } from "../../training/embedding-program.js";

// How a folder of sentence-transformers turns texts into vectors: modules.json lists what follows one another, each with a folder of its
// own. https://sbert.net/docs/sentence_transformer/usage/custom_models.html

const modulesFile = z.array(z.object({ path: z.string(), type: z.string() })).max(100);
const textsFile = z.object({ max_seq_length: z.int().min(1).nullish() });
const poolingFile = z.record(z.string(), z.unknown());

/** The modes of pooling, by their older switches and their newer names. */
const modes: Readonly<Record<string, Pooling>> = {
  pooling_mode_cls_token: "first",
  pooling_mode_mean_tokens: "mean",
  pooling_mode_lasttoken: "last",
  cls: "first",
  mean: "mean",
  lasttoken: "last",
};

export interface SentenceFiles extends Embedding {
  /** Tokens of the longest text; undefined where the files do not say. */
  readonly maxLength: number | undefined;
}

/**
 * Reads these files. A folder without them pools as sentence-transformers does with an encoder then: the mean, not normalised.
 *
 * @throws InputError for modules and modes that are not supported, by name.
 */
export async function readSentenceFiles(folder: string): Promise<SentenceFiles> {
  const modules = await readJson(join(folder, "modules.json"), modulesFile);
  if (modules === undefined) return { pooling: "mean", normalised: false, maxLength: undefined };
  const kinds = modules.map(({ type }) => type.slice(type.lastIndexOf(".") + 1));
  const unknown = kinds.filter((kind) => !["Transformer", "Pooling", "Normalize"].includes(kind));
  const pooling = modules[kinds.indexOf("Pooling")];
  if (unknown.length > 0 || pooling === undefined) {
    const what = unknown.length > 0 ? `has ${unknown.join(", ")}` : "has no Pooling";
    throw new InputError(`${join(folder, "modules.json")}: the model ${what}; supported are Transformer, Pooling and Normalize.`);
  }
  const texts = await readJson(join(folder, "sentence_bert_config.json"), textsFile);
  return {
    pooling: await readPooling(join(folder, insideFolder(pooling.path), "config.json")),
    normalised: kinds.includes("Normalize"),
    maxLength: texts?.max_seq_length ?? undefined,
  };
}

async function readPooling(file: string): Promise<Pooling> {
  const config = await readJson(file, poolingFile);
  if (config === undefined) throw new InputError(`${file} is missing: it says how hidden states become a vector. Fetch the model again.`);
  const { pooling_mode: named } = config;
  const on =
    typeof named === "string" ? [named] : Object.keys(config).filter((key) => key.startsWith("pooling_mode_") && config[key] === true);
  const [mode = ""] = on;
  const pooling = Object.hasOwn(modes, mode) ? modes[mode] : undefined;
  if (pooling !== undefined && on.length === 1) return pooling;
  throw new InputError(
    `${file}: the pooling ${on.join(" with ") || "of no kind"} is not supported; supported are cls, mean and lasttoken, one alone.`,
  );
}

/** Paths come from a file: a plain name of a folder, or the model's own. */
function insideFolder(path: string): string {
  if (/^[\w-]*$/.test(path)) return path;
  throw new InputError(`modules.json: ${JSON.stringify(path)} is no name of a folder. Fetch the model again.`);
}

async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return schema.parse(parseJsonText(text));
  } catch (cause) {
    throw new InputError(`${file} is not what sentence-transformers writes. Fetch the model again.`, { cause });
  }
}
